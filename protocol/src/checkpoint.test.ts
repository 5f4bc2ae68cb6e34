// Checkpoints: one spelling, one signer, and nothing in the note that is not signed.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, concat, fromHex, randomBytes, sha256, toBase64, utf8 } from './bytes.ts'
import {
  type Checkpoint,
  checkpointBody,
  logOrigin,
  openCheckpoint,
  parseCheckpointBody,
  signNote,
  splitNote,
} from './checkpoint.ts'

const invalid = expect.objectContaining({ code: 'receipt.invalid' })
const refused = expect.objectContaining({ code: expect.stringMatching(/^(receipt|encoding)\./) })
const CHECKPOINT: Checkpoint = {
  origin: 'sealed/0123456789abcdef',
  size: 11,
  root: new Uint8Array(32).fill(0xfe),
  state: new Uint8Array(32).fill(1),
  counter: 18446744073709551615n,
  utcMs: 1790000000000,
  akName: `000b${'ab'.repeat(32)}`,
  resetCount: 4294967295,
  restartCount: 0,
}
/** SPEC.md, "Checkpoint", filled in by hand. */
const BODY = `sealed/0123456789abcdef
11
/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v4=
state ${'01'.repeat(32)}
counter 18446744073709551615
time 1790000000000
boot 000b${'ab'.repeat(32)} 4294967295 0
`

let keys: CryptoKeyPair
let publicKey: Bytes
let note: string
const sign = async (bytes: Uint8Array) =>
  new Uint8Array(await crypto.subtle.sign('Ed25519', keys.privateKey, bytes as Bytes))

beforeAll(async () => {
  keys = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair
  publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', keys.publicKey))
  note = await signNote(BODY, CHECKPOINT.origin, publicKey, sign)
})

describe('a body', () => {
  it('is as the specification says', () => {
    expect(checkpointBody(CHECKPOINT)).toBe(BODY)
    expect(parseCheckpointBody(BODY)).toEqual(CHECKPOINT)
  })

  it('may be of an empty log', () => {
    const empty = { ...CHECKPOINT, size: 0, counter: 0n, utcMs: 0 }
    expect(parseCheckpointBody(checkpointBody(empty))).toEqual(empty)
  })

  it.each([
    ['a line missing', BODY.replace(/counter.*\n/, '')],
    ['a line too many', `${BODY}more\n`],
    ['two lines swapped', BODY.replace(/(counter.*\n)(time.*\n)/, '$2$1')],
    ['no last line feed', BODY.slice(0, -1)],
    ['an empty line', BODY.replace('\n', '\n\n')],
    ['carriage returns', BODY.replaceAll('\n', '\r\n')],
    ['a leading zero', BODY.replace('\n11\n', '\n011\n')],
    ['a sign', BODY.replace('\n11\n', '\n+11\n')],
    ['a size beyond safe integers', BODY.replace('\n11\n', '\n9007199254740993\n')],
    ['a root with stray bits', BODY.replace('/v4=', '/v5=')],
    ['a root without padding', BODY.replace('/v4=', '/v4')],
    ['a root of 33 bytes', BODY.replace('/v4=', '/v7+')],
    ['an upper-case state', BODY.replace('state 01', 'state 0A')],
    ['a short state', BODY.replace('state 01', 'state ')],
    ['an AK name of another hash', BODY.replace('boot 000b', 'boot 000c')],
    ['a space too many', BODY.replace('state ', 'state  ')],
    ['a space at the end', BODY.replace(' 0\n', ' 0 \n')],
    ['an origin with a space', BODY.replace('sealed/', 'sealed /')],
    ['no origin', BODY.replace('sealed/0123456789abcdef', '')],
    ['a negative reset count', BODY.replace('4294967295', '-1')],
    ['nothing', ''],
  ])('with %s is refused', (_what, body) => {
    expect(() => parseCheckpointBody(body)).toThrow(refused)
  })
})

describe('a note', () => {
  it('is a C2SP signed note', async () => {
    const lines = note.split('\n')
    expect(lines.slice(0, 8).join('\n')).toBe(BODY)
    expect(lines[7]).toBe('')
    expect(lines).toHaveLength(10)
    const hash = await sha256(utf8(`${CHECKPOINT.origin}\n\x01`), publicKey)
    const blob = concat(hash.slice(0, 4), await sign(utf8(BODY)))
    expect(lines[8]).toBe(`— ${CHECKPOINT.origin} ${toBase64(blob)}`)
    expect(lines[9]).toBe('')
  })

  it('opens under the key that signed it', async () => {
    expect(await openCheckpoint(note, publicKey)).toEqual({ checkpoint: CHECKPOINT, body: BODY })
    expect(splitNote(note)).toMatchObject({ body: BODY, name: CHECKPOINT.origin })
  })

  it('does not open under another key, even one that its key hash names', async () => {
    await expect(openCheckpoint(note, randomBytes(32))).rejects.toThrow(/another key/)
    const forged = await signNote(BODY, CHECKPOINT.origin, publicKey, async () => randomBytes(64))
    await expect(openCheckpoint(forged, publicKey)).rejects.toThrow(/signature is wrong/)
  })

  it('is signed by its origin and by no other name', async () => {
    const other = await signNote(BODY, 'sealed/ffffffffffffffff', publicKey, sign)
    await expect(openCheckpoint(other, publicKey)).rejects.toThrow(/another name/)
  })

  it('does not open with a signature over another body', async () => {
    const older = BODY.replace('\n11\n', '\n12\n')
    await expect(openCheckpoint(note.replace(BODY, older), publicKey)).rejects.toThrow(invalid)
  })

  it('with any bit flipped does not open', async () => {
    const bytes = utf8(note)
    for (let bit = 0; bit < bytes.length * 8; bit += 3) {
      const flipped = bytes.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      const text = new TextDecoder().decode(flipped)
      await expect(openCheckpoint(text, publicKey), `bit ${bit}`).rejects.toThrow(refused)
    }
  })

  it.each([
    ['nothing in it', () => ''],
    ['no signature', () => `${BODY}\n`],
    ['no empty line', () => note.replace('\n\n', '\n')],
    ['two signatures', () => `${note}${note.split('\n').at(-2)}\n`],
    ['text after the signature', () => `${note}x`],
    ['no line feed at the end', () => note.slice(0, -1)],
    ['a hyphen for the dash', () => note.replace('—', '-')],
    ['a signature cut short', () => note.replace(/....=\n$/, '\n')],
    ['a signature of 67 bytes', () => note.replace(/\S+\n$/, `${toBase64(new Uint8Array(67))}\n`)],
    ['a signature of 69 bytes', () => note.replace(/\S+\n$/, `${toBase64(new Uint8Array(69))}\n`)],
    ['something before it', () => `x\n\n${note}`],
  ])('with %s does not open, nor is it split', async (_what, make) => {
    expect(() => splitNote(make())).toThrow(refused)
    await expect(openCheckpoint(make(), publicKey)).rejects.toThrow(refused)
  })
})

it('the origin of a log is the start of its key set’s digest', () => {
  const k = fromHex(`0123456789abcdef${'00'.repeat(24)}`)
  expect(logOrigin(k)).toBe('sealed/0123456789abcdef')
  expect(logOrigin(randomBytes(32))).not.toBe(logOrigin(randomBytes(32)))
})
