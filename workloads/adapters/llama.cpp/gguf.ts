// The demo model as a GGUF file, which llama.cpp reads: the same weights, words and numbers in another order, and the same
// file every time. `node gguf.ts MODEL_DIR OUT`.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ModelConfig } from '../../reference/engine.ts'
import type { TokenizerFile } from '../../reference/tokenizer.ts'
import { loadHalves, loadWeights } from '../../reference/weights.ts'

/** What a model's folder holds. */
export interface ModelFiles {
  config: ModelConfig
  tokenizer: TokenizerFile
  /** `model.safetensors`, F16. */
  weights: Buffer
}

const VERSION = 3
const ALIGNMENT = 32
const F32 = 0
const F16 = 1
/** Types of tokens: text, and what steers. */
const [NORMAL, CONTROL] = [1, 3]

/** The last thing that the user said, as the model was trained on it; what came before is no part of its prompt. */
const CHAT_TEMPLATE =
  "{% set last = namespace(text='') %}{% for message in messages %}{% if message.role == 'user' %}" +
  '{% set last.text = message.content %}{% endif %}{% endfor %}<|user|>{{ last.text }}<|assistant|>'

type Value =
  | { u32: number }
  | { f32: number }
  | { flag: boolean }
  | { text: string }
  | { i32s: readonly number[] }
  | { texts: readonly string[] }

interface Tensor {
  name: string
  /** Rows last, as ggml counts. */
  dimensions: readonly number[]
  type: number
  bytes: Buffer
}

export function loadModelFiles(directory: string): ModelFiles {
  const json = (name: string): unknown => JSON.parse(readFileSync(join(directory, name), 'utf8'))
  return {
    config: json('config.json') as ModelConfig,
    tokenizer: json('tokenizer.json') as TokenizerFile,
    weights: readFileSync(join(directory, 'model.safetensors')),
  }
}

/** The bytes of the file; throws where the weights lack a tensor. */
export function gguf(files: ModelFiles): Buffer {
  const metadata = metadataOf(files)
  const tensors = tensorsOf(files)
  let at = 0
  const infos = tensors.map(({ name, dimensions, type, bytes }) => {
    const info = [
      string(name),
      u32(dimensions.length),
      ...dimensions.map((n) => u64(n)),
      u32(type),
      u64(at),
    ]
    at += bytes.length + padding(bytes.length)
    return Buffer.concat(info)
  })
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(VERSION),
    u64(tensors.length),
    u64(metadata.length),
    ...metadata.flatMap(([name, value]) => [string(name), encode(value)]),
    ...infos,
  ])
  const padded = [head, ...tensors.map(({ bytes }) => bytes)]
  return Buffer.concat(padded.flatMap((part) => [part, Buffer.alloc(padding(part.length))]))
}

function metadataOf({ config, tokenizer }: ModelFiles): [string, Value][] {
  const { hidden_size: width, num_attention_heads: heads } = config
  const { tokens, merges } = vocabulary(tokenizer)
  const steers = tokenizer.specials.length
  return [
    ['general.architecture', { text: 'llama' }],
    ['general.name', { text: 'sealed-demo' }],
    ['general.file_type', { u32: F16 }],
    ['llama.block_count', { u32: config.num_hidden_layers }],
    ['llama.context_length', { u32: config.max_position_embeddings }],
    ['llama.embedding_length', { u32: width }],
    ['llama.feed_forward_length', { u32: config.intermediate_size }],
    ['llama.attention.head_count', { u32: heads }],
    ['llama.attention.head_count_kv', { u32: heads }],
    ['llama.attention.layer_norm_rms_epsilon', { f32: config.rms_norm_eps }],
    ['llama.rope.dimension_count', { u32: width / heads }],
    ['llama.rope.freq_base', { f32: config.rope_theta }],
    ['llama.vocab_size', { u32: config.vocab_size }],
    ['tokenizer.ggml.model', { text: 'gpt2' }],
    ['tokenizer.ggml.pre', { text: 'gpt-2' }],
    ['tokenizer.ggml.tokens', { texts: tokens }],
    [
      'tokenizer.ggml.token_type',
      { i32s: tokens.map((_, id) => (id < steers ? CONTROL : NORMAL)) },
    ],
    ['tokenizer.ggml.merges', { texts: merges }],
    ['tokenizer.ggml.eos_token_id', { u32: tokenizer.specials.indexOf('<|end|>') }],
    ['tokenizer.ggml.add_bos_token', { flag: false }],
    ['tokenizer.chat_template', { text: CHAT_TEMPLATE }],
  ]
}

/** Every token as GPT-2 writes bytes: the printable ones as themselves, the others from U+0100 on. */
function vocabulary({ merges, specials }: TokenizerFile): { tokens: string[]; merges: string[] } {
  const isPrintable = (byte: number) =>
    (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
  let next = 0x100
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(isPrintable(byte) ? byte : next++),
  )
  const tokens = [...specials, ...bytes]
  const pairs = merges.map(([left, right]) => {
    tokens.push(`${tokens[left]}${tokens[right]}`)
    return `${tokens[left]} ${tokens[right]}`
  })
  return { tokens, merges: pairs }
}

function tensorsOf({ config, weights }: ModelFiles): Tensor[] {
  const { hidden_size: width, intermediate_size: inner, num_attention_heads: heads } = config
  const wide = loadWeights(weights)
  const halves = loadHalves(weights)
  const matrix = (name: string, from: string, columns: number, rows: number, turn = false) => ({
    name: `${name}.weight`,
    dimensions: [columns, rows],
    type: F16,
    bytes: turn
      ? interleave(halves(`${from}.weight`), columns, width / heads)
      : halves(`${from}.weight`),
  })
  const norm = (name: string, from: string) => {
    const values = wide(`${from}.weight`)
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
    return { name: `${name}.weight`, dimensions: [width], type: F32, bytes }
  }
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) => {
    const [to, from] = [`blk.${i}`, `model.layers.${i}`]
    return [
      norm(`${to}.attn_norm`, `${from}.input_layernorm`),
      matrix(`${to}.attn_q`, `${from}.self_attn.q_proj`, width, width, true),
      matrix(`${to}.attn_k`, `${from}.self_attn.k_proj`, width, width, true),
      matrix(`${to}.attn_v`, `${from}.self_attn.v_proj`, width, width),
      matrix(`${to}.attn_output`, `${from}.self_attn.o_proj`, width, width),
      norm(`${to}.ffn_norm`, `${from}.post_attention_layernorm`),
      matrix(`${to}.ffn_gate`, `${from}.mlp.gate_proj`, width, inner),
      matrix(`${to}.ffn_up`, `${from}.mlp.up_proj`, width, inner),
      matrix(`${to}.ffn_down`, `${from}.mlp.down_proj`, inner, width),
    ]
  })
  // Its output is the same matrix: where there is none of its own, llama.cpp takes the embeddings.
  return [
    matrix('token_embd', 'model.embed_tokens', width, config.vocab_size),
    norm('output_norm', 'model.norm'),
    ...layers.flat(),
  ]
}

/** Rows of each head from halves, as Hugging Face turns them, to pairs, as llama.cpp does. */
function interleave(matrix: Buffer, columns: number, head: number): Buffer {
  const row = 2 * columns
  const out = Buffer.alloc(matrix.length)
  for (let i = 0; i < matrix.length / row; i++) {
    const within = i % head
    const from = i - within + (within % 2) * (head / 2) + (within >> 1)
    matrix.copy(out, i * row, from * row, (from + 1) * row)
  }
  return out
}

const padding = (length: number) => -length & (ALIGNMENT - 1)

function u32(value: number): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32LE(value)
  return out
}
function u64(value: number): Buffer {
  const out = Buffer.alloc(8)
  out.writeBigUInt64LE(BigInt(value))
  return out
}
function string(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([u64(bytes.length), bytes])
}

/** A value after the number of its type. */
function encode(value: Value): Buffer {
  if ('u32' in value) return Buffer.concat([u32(4), u32(value.u32)])
  if ('f32' in value) return Buffer.concat([u32(6), Buffer.from(Float32Array.of(value.f32).buffer)])
  if ('flag' in value) return Buffer.concat([u32(7), Buffer.of(value.flag ? 1 : 0)])
  if ('text' in value) return Buffer.concat([u32(8), string(value.text)])
  const [type, items] = 'i32s' in value ? [5, value.i32s.map(u32)] : [8, value.texts.map(string)]
  return Buffer.concat([u32(9), u32(type), u64(items.length), ...items])
}

if (import.meta.main) {
  const [model, out] = process.argv.slice(2)
  if (!model || !out) {
    process.stderr.write('usage: gguf.ts MODEL_DIR OUT\n')
    process.exit(2)
  }
  writeFileSync(out, gguf(loadModelFiles(model)))
}
