// Notes of several signers and cosignatures: who is known is judged, who is not is ignored, and no line moves to
// another body, name, time or key.
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, concat, sha256, toBase64, toBase64url, utf8 } from './bytes.ts'
import { checkpointBody, openLogCheckpoint, signNote } from './checkpoint.ts'
import { cosign, cosignatureMessage, readCosignatures, type WitnessKey } from './cosignature.ts'
import {
  NOTE_COSIGNATURE,
  noteKeyId,
  parseNote,
  parseSignatureLines,
  signatureLine,
} from './note.ts'

const refused = expect.objectContaining({
  code: expect.stringMatching(/^(receipt|evidence|encoding)\./),
})
const ORIGIN = 'sealed/0123456789abcdef'
const SECONDS = 1_790_000_000
const BODY = checkpointBody({
  origin: ORIGIN,
  size: 11,
  root: new Uint8Array(32).fill(0xfe),
  state: new Uint8Array(32).fill(1),
  counter: 3n,
  utcMs: SECONDS * 1000,
  akName: `000b${'ab'.repeat(32)}`,
  resetCount: 1,
  restartCount: 0,
})

interface Signer {
  name: string
  publicKey: Bytes
  key: WitnessKey
  sign: (bytes: Uint8Array) => Promise<Bytes>
}

async function signer(name: string): Promise<Signer> {
  const pair = (await crypto.subtle.generateKey('Ed25519', true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))
  return {
    name,
    publicKey,
    key: { name, public_key: toBase64url(publicKey) },
    sign: async (bytes) =>
      new Uint8Array(await crypto.subtle.sign('Ed25519', pair.privateKey, bytes as Bytes)),
  }
}

const lineOf = (by: Signer, seconds = SECONDS, body = BODY, name = by.name) =>
  cosign(body, name, by.publicKey, seconds, by.sign)

let log: Signer
let one: Signer
let two: Signer
let alone: string
beforeAll(async () => {
  ;[log, one, two] = await Promise.all([
    signer(ORIGIN),
    signer('witness.example/one'),
    signer('witness.example/two'),
  ])
  alone = await signNote(BODY, ORIGIN, log.publicKey, log.sign)
})

describe('a cosignature', () => {
  it('is over header, time and body, as C2SP spells them', async () => {
    const line = await lineOf(one)
    const [dash, name, blob] = line.trimEnd().split(' ')
    expect([dash, name]).toEqual(['—', 'witness.example/one'])
    const bytes = Uint8Array.from(atob(blob!), (c) => c.charCodeAt(0))
    const id = await sha256(utf8('witness.example/one\n\x04'), one.publicKey)
    expect(bytes.slice(0, 4)).toEqual(id.slice(0, 4))
    expect(new DataView(bytes.buffer).getBigUint64(4)).toBe(BigInt(SECONDS))
    const message = utf8(`cosignature/v1\ntime ${SECONDS}\n${BODY}`)
    expect(cosignatureMessage(BODY, SECONDS)).toEqual(message)
    expect(bytes.slice(12)).toEqual(await one.sign(message))
    expect(bytes).toHaveLength(4 + 8 + 64)
  })

  it('is read with its time, of those who are known', async () => {
    const note = parseNote(alone + (await lineOf(one)) + (await lineOf(two, SECONDS + 5)))
    expect(await readCosignatures(note, [two.key])).toMatchObject([
      { name: two.name, seconds: SECONDS + 5 },
    ])
    expect(await readCosignatures(note, [one.key, two.key])).toHaveLength(2)
    expect(await readCosignatures(note, [])).toEqual([])
  })

  it('of one key counts once, with its earlier time', async () => {
    const note = parseNote(alone + (await lineOf(one, SECONDS + 9)) + (await lineOf(one)))
    expect(await readCosignatures(note, [one.key])).toMatchObject([{ seconds: SECONDS }])
  })

  it('that does not hold rejects the note, beside a good one too', async () => {
    const stranger = { ...two, publicKey: one.publicKey, name: one.name }
    for (const wrong of [
      await lineOf(stranger),
      await lineOf(one, SECONDS, BODY.replace('\n11\n', '\n12\n')),
      await lineOf(one, 0),
      await lineOf(one, 8_640_000_000_001),
      signatureLine(
        one.name,
        await noteKeyId(one.name, NOTE_COSIGNATURE, one.publicKey),
        new Uint8Array(64),
      ),
    ])
      for (const note of [alone + wrong, alone + (await lineOf(one)) + wrong])
        await expect(readCosignatures(parseNote(note), [one.key])).rejects.toThrow(refused)
  })

  it('with any bit flipped is wrong or of nobody known, and never counted', async () => {
    const line = await lineOf(one)
    const blob = Uint8Array.from(atob(line.trimEnd().split(' ')[2]!), (c) => c.charCodeAt(0))
    for (let bit = 0; bit < blob.length * 8; bit++) {
      const flipped = blob.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      const note = parseNote(`${alone}— ${one.name} ${toBase64(flipped)}\n`)
      const read = readCosignatures(note, [one.key])
      if (bit < 32) expect(await read).toEqual([])
      else await expect(read, `bit ${bit}`).rejects.toThrow(refused)
    }
  })

  it('is not one of the log’s own kind, nor under another name', async () => {
    const plain = await signNote(BODY, one.name, one.publicKey, one.sign)
    const own = alone + plain.slice(plain.indexOf('\n\n') + 2)
    expect(await readCosignatures(parseNote(own), [one.key])).toEqual([])
    const renamed = alone + (await lineOf(one, SECONDS, BODY, 'witness.example/three'))
    expect(await readCosignatures(parseNote(renamed), [one.key])).toEqual([])
  })
})

describe('a checkpoint with several signers', () => {
  it('opens, and gives back the note as the log alone signed it', async () => {
    const text = alone + (await lineOf(one)) + (await lineOf(two))
    const opened = await openLogCheckpoint(text, log.publicKey)
    expect(opened.alone).toBe(alone)
    expect(opened.checkpoint).toMatchObject({ origin: ORIGIN, size: 11 })
    const line = await lineOf(one)
    const before = alone.replace('\n\n', `\n\n${line}`)
    expect((await openLogCheckpoint(before, log.publicKey)).alone).toBe(alone)
  })

  it('ignores signers that are not known, of whatever kind', async () => {
    const other = signatureLine(ORIGIN, Uint8Array.of(1, 2, 3, 4), new Uint8Array(2420))
    expect((await openLogCheckpoint(alone + other, log.publicKey)).alone).toBe(alone)
  })

  it('has the log’s own line exactly once, and that line holds', async () => {
    const line = alone.slice(alone.indexOf('\n\n') + 2)
    const witnessed = `${BODY}\n${await lineOf(one)}`
    const bad = line.replace(/.{6}=?=?\n$/, 'AAAA==\n')
    for (const text of [alone + line, witnessed, alone.replace(line, bad), `${witnessed}${bad}`])
      await expect(openLogCheckpoint(text, log.publicKey)).rejects.toThrow(refused)
    await expect(openLogCheckpoint(alone, one.publicKey)).rejects.toThrow(refused)
  })

  it.each([
    ['no signature', () => `${BODY}\n`],
    ['a line that is none', () => `${alone}x\n`],
    ['a line without its end', () => alone.slice(0, -1)],
    ['a name with a plus', () => alone.replace('— sealed', '— a+b')],
    ['two spaces', () => alone.replace('— sealed', '—  sealed')],
    ['a signature of four bytes', () => `${alone}— x AAAAAA==\n`],
    ['base64 with stray bits', () => `${alone}— x AAAAAAF=\n`],
    ['a tab', () => alone.replace('sealed/', 'sealed\t')],
    ['a carriage return', () => alone.replace('\n', '\r\n')],
    ['33 lines', () => alone + '— x AAAAAAA=\n'.repeat(32)],
    ['too many bytes', () => `${alone}— ${'x'.repeat(65_536)} AAAAAAA=\n`],
    ['an empty line among the signatures', () => `${alone}\n`],
  ])('with %s is refused', async (_what, make) => {
    await expect(openLogCheckpoint(make(), log.publicKey)).rejects.toThrow(refused)
  })

  it('with sixteen signatures is read', () => {
    expect(parseNote(alone + '— x AAAAAAA=\n'.repeat(15)).signatures).toHaveLength(16)
  })
})

it('no text makes the parsers fail with anything but a refusal', () => {
  const piece = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.constantFrom('\n', '\n\n', '— ', 'x ', 'AAAAAAA=', '\u2028', ' ', BODY),
  )
  const text = fc.array(piece, { maxLength: 12 }).map((parts) => parts.join(''))
  const orRefuse = (parse: (text: string) => unknown, given: string) => {
    try {
      parse(given)
    } catch (error) {
      expect(error).toEqual(refused)
    }
  }
  fc.assert(
    fc.property(text, (given) => {
      orRefuse(parseNote, given)
      orRefuse(parseSignatureLines, given)
    }),
    { numRuns: 500 },
  )
})

it('a blob that is no note’s is never taken for one', async () => {
  const note = { body: BODY, signatures: [] }
  expect(await readCosignatures(note, [one.key])).toEqual([])
  const id = await noteKeyId(one.name, NOTE_COSIGNATURE, one.publicKey)
  const short = { name: one.name, id, signature: concat(new Uint8Array(71)), line: '' }
  await expect(readCosignatures({ body: BODY, signatures: [short] }, [one.key])).rejects.toThrow(
    refused,
  )
})
