// What llama.cpp makes of the file is in test/llama-tap.test.ts and test/llama-server.test.ts.
// Mutants: `interleave` left out, or with `within >> 1` and `within % 2` exchanged; norms as F16; merges in their second
// order; the padding between tensors left out.
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { gguf, loadModelFiles, type ModelFiles } from './gguf.ts'

/** Reads a GGUF file by its specification: what it says, and where each tensor's bytes are. */
function parse(file: Buffer) {
  let at = 0
  const take = (length: number) => {
    at += length
    return file.subarray(at - length, at)
  }
  const u32 = () => take(4).readUInt32LE()
  const u64 = () => Number(take(8).readBigUInt64LE())
  const text = () => take(u64()).toString()
  const value = (type: number): unknown => {
    if (type === 4) return u32()
    if (type === 5) return take(4).readInt32LE()
    if (type === 6) return take(4).readFloatLE()
    if (type === 7) return take(1)[0] === 1
    if (type === 8) return text()
    const [inner, count] = [u32(), u64()]
    return Array.from({ length: count }, () => value(inner))
  }
  const magic = take(4).toString()
  const [version, tensorCount, count] = [u32(), u64(), u64()]
  const metadata = Object.fromEntries(
    Array.from({ length: count }, () => [text(), value(u32())] as const),
  )
  const infos = Array.from({ length: tensorCount }, () => {
    const name = text()
    const dimensions = Array.from({ length: u32() }, u64)
    return { name, dimensions, type: u32(), offset: u64() }
  })
  const start = Math.ceil(at / 32) * 32
  const tensors = infos.map(({ offset, ...info }) => {
    const size = info.dimensions.reduce((product, n) => product * n, info.type === 0 ? 4 : 2)
    return { ...info, offset, bytes: file.subarray(start + offset, start + offset + size) }
  })
  return { magic, version, metadata, tensors }
}

/** A model of one layer, two heads of four numbers, whose halves count up: each row of a matrix tells where it was. */
function small(): ModelFiles {
  const [width, inner, vocabulary] = [8, 4, 261]
  const layer = 'model.layers.0'
  const shapes: [string, number[]][] = [
    ['model.embed_tokens', [vocabulary, width]],
    ['model.norm', [width]],
    [`${layer}.input_layernorm`, [width]],
    [`${layer}.post_attention_layernorm`, [width]],
    ...['q', 'k', 'v', 'o'].map((one): [string, number[]] => [
      `${layer}.self_attn.${one}_proj`,
      [width, width],
    ]),
    [`${layer}.mlp.gate_proj`, [inner, width]],
    [`${layer}.mlp.up_proj`, [inner, width]],
    [`${layer}.mlp.down_proj`, [width, inner]],
  ]
  const header: Record<string, object> = {}
  const blobs: Buffer[] = []
  let at = 0
  for (const [name, shape] of shapes) {
    const halves = Uint16Array.from(
      { length: shape.reduce((product, n) => product * n) },
      (_, i) => 0x3c00 + i,
    )
    header[`${name}.weight`] = {
      dtype: 'F16',
      shape,
      data_offsets: [at, at + halves.byteLength],
    }
    blobs.push(Buffer.from(halves.buffer))
    at += halves.byteLength
  }
  const head = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(head.length))
  return {
    config: {
      hidden_size: width,
      intermediate_size: inner,
      max_position_embeddings: 16,
      num_attention_heads: 2,
      num_hidden_layers: 1,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      vocab_size: vocabulary,
    },
    tokenizer: {
      specials: ['<|end|>', '<|user|>'],
      merges: [
        [34, 99],
        [258, 10],
        [2, 3],
      ],
    },
    weights: Buffer.concat([length, head, ...blobs]),
  }
}

test('says of the demo model what its config and tokenizer say', () => {
  const model = loadModelFiles(join(import.meta.dirname, '..', '..', 'model'))
  const file = gguf(model)
  expect(gguf(model).equals(file)).toBe(true)
  const { magic, version, metadata, tensors } = parse(file)
  expect([magic, version]).toEqual(['GGUF', 3])
  expect(metadata).toMatchObject({
    'general.architecture': 'llama',
    'llama.block_count': 4,
    'llama.context_length': 96,
    'llama.embedding_length': 128,
    'llama.feed_forward_length': 352,
    'llama.attention.head_count': 4,
    'llama.rope.dimension_count': 32,
    'tokenizer.ggml.eos_token_id': 0,
    'tokenizer.ggml.add_bos_token': false,
  })
  const tokens = metadata['tokenizer.ggml.tokens'] as string[]
  expect(tokens.slice(0, 3)).toEqual(['<|end|>', '<|user|>', '<|assistant|>'])
  expect(tokens).toHaveLength(2048)
  expect(new Set(tokens).size).toBe(2048)
  expect(tokens).toContain('Ġhorse')
  expect(tensors).toHaveLength(2 + 4 * 9)
})

test('writes each byte as GPT-2 does, and merges as pairs of what they join', () => {
  const { metadata } = parse(gguf(small()))
  const tokens = metadata['tokenizer.ggml.tokens'] as string[]
  expect([0, 32, 33, 126, 127, 160, 161, 173, 255].map((byte) => tokens[2 + byte])).toEqual([
    ...['Ā', 'Ġ', '!', '~', 'ġ', 'ł', '¡', 'Ń', 'ÿ'],
  ])
  expect(tokens.slice(258)).toEqual(['Ġa', 'ĠaĈ', 'Āā'])
  expect(metadata['tokenizer.ggml.merges']).toEqual(['Ġ a', 'Ġa Ĉ', 'Ā ā'])
  expect((metadata['tokenizer.ggml.token_type'] as number[]).slice(0, 3)).toEqual([3, 3, 1])
})

test('queries and keys lie in pairs, norms as 32-bit floats, each tensor where it says', () => {
  const { tensors } = parse(gguf(small()))
  const tensor = (name: string) => tensors.find((one) => one.name === `${name}.weight`)!
  const rows = (name: string) => {
    const { bytes, dimensions } = tensor(name)
    const [columns, count] = dimensions as [number, number]
    return Array.from(
      { length: count },
      (_, row) => (bytes.readUInt16LE(2 * columns * row) - 0x3c00) / columns,
    )
  }
  for (const name of ['blk.0.attn_q', 'blk.0.attn_k'])
    expect(rows(name)).toEqual([0, 2, 1, 3, 4, 6, 5, 7])
  for (const name of ['blk.0.attn_v', 'blk.0.attn_output', 'blk.0.ffn_down'])
    expect(rows(name)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  const norm = tensor('output_norm')
  expect([norm.type, norm.dimensions]).toEqual([0, [8]])
  expect(norm.bytes.readFloatLE(0)).toBe(1)
  expect(norm.bytes.readFloatLE(4)).toBeCloseTo(1 + 2 ** -10, 7)
  for (const { offset } of tensors) expect(offset % 32).toBe(0)
})

test('refuses weights that lack a tensor', () => {
  const model = small()
  const text = model.weights.toString('latin1').replace('model.norm', 'model.mron')
  expect(() => gguf({ ...model, weights: Buffer.from(text, 'latin1') })).toThrow(
    'no F16 tensor model.norm.weight',
  )
})
