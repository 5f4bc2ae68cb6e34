// Defects that systems of this kind have had, each tried here (test/abuse/README.md lists all twenty and where the others
// are tried): what was sent passes for an answer, a byte moves between two fields that are hashed together, a clock
// orders quotes.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, concat, fromBase64url, toHex, utf8 } from './bytes.ts'
import { parseEnvelope } from './envelope.ts'
import { canonicalBytes, parseCanonical } from './json.ts'
import { type KeySet, keySetDigest, quoteBinding, transportKeyMessage } from './key-set.ts'
import { leafHash, nodeHash } from './merkle.ts'
import { noteKeyId } from './note.ts'
import { type Frame, ResponseWriter, readResponse } from './response.ts'
import { failures, Scene } from './verify/test-scene.ts'
import { envelopeRequest, makeInput } from './verify/test-session.ts'
import { createWorld } from './verify/test-world.ts'

let scene: Scene
beforeAll(async () => {
  scene = await Scene.create()
})

describe('what a client sent', () => {
  async function read(context: Parameters<typeof readResponse>[0], body: Bytes): Promise<Frame[]> {
    const frames: Frame[] = []
    for await (const frame of readResponse(
      context,
      (async function* () {
        yield body
      })(),
    ))
      frames.push(frame)
    return frames
  }

  it('never comes back as an answer', async () => {
    const { body, header, headerDigest, secrets } = await envelopeRequest(scene.world)
    const context = { responseSecret: secrets.responseSecret, headerDigest }
    const { envelope } = await parseEnvelope(utf8(body))
    const parts = [utf8(body), utf8(envelope.input), utf8(envelope.instructions)]
    const tokens = [envelope.input, envelope.instructions].map((token) =>
      fromBase64url(token.replaceAll('=', '')),
    )
    for (const part of [...parts, ...tokens, fromBase64url(envelope.keys.input)]) {
      const framed = concat(new Uint8Array(32), Uint8Array.of(0, 0, 1, 0, 0), part)
      for (const reflected of [part, framed])
        await expect(read(context, reflected)).rejects.toMatchObject({
          code: expect.stringMatching(/^response\.(?:invalid|truncated)$/),
        })
    }
    expect(header.version).toBe(1)
  })

  it('is under other keys than the answer: neither opens as the other', async () => {
    const one = await envelopeRequest(scene.world)
    const context = { responseSecret: one.secrets.inputKey, headerDigest: one.headerDigest }
    const writer = new ResponseWriter(context)
    const frames = [
      writer.serverRandom,
      await writer.frame('head', utf8('{}')),
      await writer.frame('final', utf8('{}')),
    ]
    const answered = { ...context, responseSecret: one.secrets.responseSecret }
    await expect(read(answered, concat(...frames))).rejects.toMatchObject({
      code: 'response.invalid',
    })
    await expect(parseEnvelope(concat(...frames))).rejects.toMatchObject({
      code: 'envelope.invalid',
    })
  })
})

describe('two fields that are hashed together', () => {
  it('of a quote have fixed lengths, so that no byte moves from one to the other', async () => {
    const [k, x] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const both = concat(k, x)
    await expect(quoteBinding('keys', k, x)).resolves.toHaveLength(32)
    for (const at of [0, 31, 33, 64])
      await expect(
        quoteBinding('keys', both.subarray(0, at), both.subarray(at)),
      ).rejects.toMatchObject({ code: 'evidence.invalid' })
  })

  it('are never the same for another purpose', async () => {
    const k = new Uint8Array(32)
    const digests = await Promise.all(
      (['keys', 'checkpoint', 'challenge'] as const).map((purpose) => quoteBinding(purpose, k, k)),
    )
    expect(new Set(digests.map(toHex)).size).toBe(3)
  })

  it('of a tree do not pass for one leaf', async () => {
    const [left, right] = [await leafHash(utf8('a')), await leafHash(utf8('b'))]
    expect(await leafHash(concat(left, right))).not.toEqual(await nodeHash(left, right))
  })

  it('of a key set or a transport key are members with names, not bytes in a row', async () => {
    const key_set: KeySet = { ledger_key: 'A'.repeat(43), version: 1 }
    const longer: KeySet = { ...key_set, tls_spki_digest: '00'.repeat(32) }
    expect(await keySetDigest(key_set)).not.toEqual(await keySetDigest(longer))
    const [record] = scene.world.document.transport_keys
    const { not_after_ms, not_before_ms } = record!
    const swapped = { ...record!, not_after_ms: not_before_ms, not_before_ms: not_after_ms }
    expect(transportKeyMessage(swapped)).not.toEqual(transportKeyMessage(record!))
    const text = toHex(transportKeyMessage(record!)).slice(2 * 'sealed/transport-key/v1\0'.length)
    const bytes = Uint8Array.from(text.match(/../g)!, (byte) => Number.parseInt(byte, 16))
    expect(canonicalBytes(parseCanonical(bytes))).toEqual(bytes)
  })

  it('of a note’s key are parted by what no name holds', async () => {
    const key = new Uint8Array(32).fill(0x0a)
    const moved = await noteKeyId('sealed/ab', 1, concat(Uint8Array.of(0x0a), key.subarray(1)))
    expect(await noteKeyId('sealed/ab\n', 1, key.subarray(1))).not.toEqual(moved)
  })
})

describe('the clock in a quote', () => {
  it('orders nothing: one that fell is of the same boot', async () => {
    const verdict = await scene.judge(await scene.lie({ receiptQuote: { clockMs: 1, safe: 0 } }))
    expect(failures(verdict)).toEqual([])
  })

  it('cannot make up for another boot', async () => {
    for (const counts of [{ resetCount: 6 }, { resetCount: 8 }, { restartCount: 2 }]) {
      const lie = await scene.lie({ receiptQuote: { clockMs: 2 ** 40, ...counts } })
      expect(failures(await scene.judge(lie))).toEqual(['receipt.boot'])
    }
  })
})

describe('keys', () => {
  it('are each machine’s own: what one said, another did not', async () => {
    const other = await createWorld()
    const theirs = other.document
    const ours = scene.world.document
    expect(theirs.key_set.ledger_key).not.toBe(ours.key_set.ledger_key)
    expect(theirs.transport_keys[0]!.id).not.toBe(ours.transport_keys[0]!.id)
    const input = await makeInput(scene.world, scene.completed)
    const policy = { ...scene.world.policy, ak_roots: other.policy.ak_roots }
    const verdict = await scene.judge({ input: { ...input, document: theirs }, policy })
    for (const id of [
      'receipt.document',
      'receipt.checkpoint_signature',
      'receipt.quote_signature',
    ])
      expect(failures(verdict)).toContain(id)
  })
})
