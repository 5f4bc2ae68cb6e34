// What a boot's key set is bound to, and that a transport key is only one under the ledger key's signature.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, randomBytes, sha256, sha256Hex, toBase64url, toHex, utf8 } from './bytes.ts'
import {
  CONFIGURATION_PCR,
  KEY_SET_PCR,
  type KeySet,
  keySetDigest,
  QUOTED_PCRS,
  quoteBinding,
  type TransportKeyRecord,
  transportKeyIsSigned,
  transportKeyMessage,
} from './key-set.ts'

let keySet: KeySet
let record: TransportKeyRecord
let sign: (bytes: Uint8Array) => Promise<string>
beforeAll(async () => {
  const keys = (await crypto.subtle.generateKey('Ed25519', true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  const raw = new Uint8Array(await crypto.subtle.exportKey('raw', keys.publicKey))
  sign = async (bytes) =>
    toBase64url(
      new Uint8Array(await crypto.subtle.sign('Ed25519', keys.privateKey, bytes as Bytes)),
    )
  keySet = { ledger_key: toBase64url(raw), version: 1 }
  const spki = randomBytes(300)
  const unsigned = {
    id: await sha256Hex(spki),
    not_after_ms: 2000,
    not_before_ms: 1000,
    spki: toBase64url(spki),
    version: 1,
  } as const
  record = { ...unsigned, signature: await sign(transportKeyMessage(unsigned)) }
})

describe('a key set', () => {
  it('has the digest of its canonical form', async () => {
    const set: KeySet = { version: 1, ledger_key: 'A'.repeat(43) }
    const text = `{"ledger_key":"${'A'.repeat(43)}","version":1}`
    expect(await keySetDigest(set)).toEqual(await sha256(utf8(text)))
    const tls = { ...set, tls_spki_digest: 'ab'.repeat(32) }
    expect(await keySetDigest(tls)).not.toEqual(await keySetDigest(set))
  })
})

describe('a transport key', () => {
  it('is signed over a prefix of its own and its canonical record', () => {
    const { id, spki } = record
    const text = `sealed/transport-key/v1\0{"id":"${id}","not_after_ms":2000,"not_before_ms":1000,"spki":"${spki}","version":1}`
    expect(transportKeyMessage(record)).toEqual(utf8(text))
  })

  it('is one under the ledger key’s signature only', async () => {
    expect(await transportKeyIsSigned(record, keySet)).toBe(true)
    const other = (await crypto.subtle.generateKey('Ed25519', true, [
      'sign',
      'verify',
    ])) as CryptoKeyPair
    const raw = new Uint8Array(await crypto.subtle.exportKey('raw', other.publicKey))
    const others: KeySet = { ledger_key: toBase64url(raw), version: 1 }
    expect(await transportKeyIsSigned(record, others)).toBe(false)
  })

  it('is not one when anything in it was changed', async () => {
    const spki = randomBytes(300)
    for (const change of [
      { not_after_ms: 2001 },
      { not_before_ms: 999 },
      { spki: toBase64url(spki) },
      { spki: toBase64url(spki), id: await sha256Hex(spki) },
      { id: 'ab'.repeat(32) },
      { signature: toBase64url(randomBytes(64)) },
    ])
      expect(await transportKeyIsSigned({ ...record, ...change }, keySet)).toBe(false)
  })

  it('has the id of its key, even where the ledger key signed another', async () => {
    const lie = { ...record, id: 'ab'.repeat(32) }
    const signed = { ...lie, signature: await sign(transportKeyMessage(lie)) }
    expect(await transportKeyIsSigned(signed, keySet)).toBe(false)
  })
})

describe('a quote', () => {
  it('is bound to purpose, key set and content', async () => {
    const [k, x] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const bindings = await Promise.all([
      quoteBinding('keys', k, x),
      quoteBinding('checkpoint', k, x),
      quoteBinding('challenge', k, x),
      quoteBinding('keys', x, k),
      quoteBinding('keys', k, k),
    ])
    expect(new Set(bindings.map(toHex)).size).toBe(5)
    expect(bindings[0]).toEqual(await sha256(utf8('sealed/quote/keys/v1\0'), k, x))
  })

  it('holds the application’s PCRs and those of the boot', () => {
    expect(QUOTED_PCRS).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15])
    expect(QUOTED_PCRS).toContain(KEY_SET_PCR)
    expect(QUOTED_PCRS).toContain(CONFIGURATION_PCR)
  })
})
