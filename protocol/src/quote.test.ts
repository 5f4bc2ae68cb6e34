// Quotes, byte by byte: structures made by hand, each with one field that a TPM, or this verifier, would not have.
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type Bytes,
  concat,
  fromBase64url,
  fromHex,
  sha256,
  toBase64url,
  toHex,
  u32be,
  utf8,
} from './bytes.ts'
import {
  extendedOnce,
  importAttestationKey,
  parseAttest,
  pcrDigest,
  quoteCovers,
  verifyAttestSignature,
} from './quote.ts'
import { TpmReader } from './tpm-reader.ts'
import {
  AK_ATTRIBUTES,
  type AttestFields,
  attestBytes,
  createAk,
  selectionOf,
  sized,
  type TestAk,
  tpmtOf,
  u16,
} from './verify/test-tpm.ts'

const invalid = expect.objectContaining({ code: 'evidence.invalid' })
const EXTRA = new Uint8Array(32).fill(9)
const PCRS = new Map(
  [0, 7, 8, 14, 23].map((index) => [index, new Uint8Array(32).fill(index + 1) as Bytes]),
)
const attest = (fields: Partial<AttestFields> = {}) =>
  attestBytes({ extraData: EXTRA, pcrs: PCRS, ...fields })

let ecdsa: TestAk
let rsa: TestAk
let ecJwk: Record<string, string>
let rsaJwk: Record<string, string>
const jwkOf = async (key: CryptoKey) =>
  (await crypto.subtle.exportKey('jwk', key)) as unknown as Record<string, string>
beforeAll(async () => {
  ;[ecdsa, rsa] = [await createAk('ecdsa'), await createAk('rsassa')]
  ;[ecJwk, rsaJwk] = [await jwkOf(ecdsa.publicKey), await jwkOf(rsa.publicKey)]
})

describe('an attest', () => {
  it('is read field by field', () => {
    const bytes = fromHex(
      'ff544347' + // TPM_GENERATED
        '8018' + // TPM_ST_ATTEST_QUOTE
        '0003aabbcc' + // qualifiedSigner
        '00021122' + // extraData
        '000000000001e240' + // clock
        '00000007' + // resetCount
        '00000002' + // restartCount
        '01' + // safe
        '2020031200120003' + // firmwareVersion
        '00000001000b03' + // one selection, SHA-256, three bytes
        'ff8180' + // 0–7, 8, 15, 23
        `0020${'5a'.repeat(32)}`,
    )
    expect(parseAttest(bytes)).toEqual({
      qualifiedSigner: fromHex('aabbcc'),
      extraData: fromHex('1122'),
      clockMs: 123456n,
      resetCount: 7,
      restartCount: 2,
      safe: true,
      firmwareVersion: 0x2020031200120003n,
      pcrs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 23],
      pcrDigest: new Uint8Array(32).fill(0x5a),
    })
  })

  it.each([
    ['another magic', { magic: 0xff544348 }],
    ['another type', { type: 0x8014 }],
    ['a certification’s type', { type: 0x8017 }],
    ['no selection', { selections: 0 }],
    ['two selections', { selections: 2 }],
    ['the SHA-1 bank', { bank: 0x0004 }],
    ['the SHA-384 bank', { bank: 0x000c }],
    ['a selection of two bytes', { bitmap: new Uint8Array(2) }],
    ['a selection of four bytes', { bitmap: new Uint8Array(4) }],
    ['no selection bytes', { bitmap: new Uint8Array(0) }],
    ['a clock flag that is neither yes nor no', { safe: 2 }],
    ['extraData that is too long', { extraData: new Uint8Array(65) }],
    ['a PCR digest that is too long', { pcrDigest: new Uint8Array(33) }],
  ])('with %s is refused', async (_what, fields) => {
    const bytes = await attest(fields)
    expect(() => parseAttest(bytes)).toThrow(invalid)
  })

  it('that is cut or continued is refused', async () => {
    const bytes = await attest()
    for (let length = 0; length < bytes.length; length++)
      expect(() => parseAttest(bytes.subarray(0, length))).toThrow(invalid)
    expect(() => parseAttest(concat(bytes, Uint8Array.of(0)))).toThrow(invalid)
    expect(parseAttest(bytes).extraData).toEqual(EXTRA)
  })

  it('is read wherever it lies in a buffer', async () => {
    const bytes = await attest()
    const inside = concat(new Uint8Array(5), bytes).subarray(5)
    expect(parseAttest(inside)).toEqual(parseAttest(bytes))
  })

  it('says when its clock is not safe', async () => {
    expect(parseAttest(await attest({ safe: 0 })).safe).toBe(false)
  })
})

describe('a PCR selection', () => {
  it('covers exactly the values that were quoted', async () => {
    const quoted = parseAttest(await attest())
    expect(quoted.pcrs).toEqual([0, 7, 8, 14, 23])
    expect(await quoteCovers(quoted, PCRS)).toBe(true)
    expect(await quoteCovers(quoted, new Map([...PCRS].reverse()))).toBe(true)
  })

  it('does not cover fewer, more, other or relabelled values', async () => {
    const quoted = parseAttest(await attest())
    const wrong = (edit: (pcrs: Map<number, Bytes>) => void) => {
      const pcrs = new Map(PCRS)
      edit(pcrs)
      return quoteCovers(quoted, pcrs)
    }
    expect(await wrong((pcrs) => pcrs.delete(23))).toBe(false)
    expect(await wrong((pcrs) => pcrs.set(9, new Uint8Array(32)))).toBe(false)
    expect(await wrong((pcrs) => pcrs.set(8, new Uint8Array(32)))).toBe(false)
    const moved = wrong((pcrs) => {
      pcrs.delete(8)
      pcrs.set(9, PCRS.get(8)!)
    })
    expect(await moved).toBe(false)
    const swapped = wrong((pcrs) => pcrs.set(8, PCRS.get(14)!).set(14, PCRS.get(8)!))
    expect(await swapped).toBe(false)
  })

  it('of nothing covers nothing', async () => {
    const none = parseAttest(await attest({ pcrs: new Map() }))
    expect(none.pcrs).toEqual([])
    expect(await quoteCovers(none, new Map())).toBe(true)
    expect(await quoteCovers(none, PCRS)).toBe(false)
  })

  it('is not believed for other values with the same digest under it', async () => {
    const quoted = parseAttest(await attest({ bitmap: selectionOf([0, 7, 8, 14, 22]) }))
    expect(await quoteCovers(quoted, PCRS)).toBe(false)
  })
})

describe('digests of PCRs', () => {
  it('are over the values in ascending order', async () => {
    const [a, b] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const both = toHex(await sha256(a, b))
    const digest = async (...entries: [number, Bytes][]) => toHex(await pcrDigest(new Map(entries)))
    expect(await digest([2, a], [10, b])).toBe(both)
    expect(await digest([10, b], [2, a])).toBe(both)
    expect(await digest([2, b], [10, a])).not.toBe(both)
    expect(await digest()).toBe(toHex(await sha256(new Uint8Array(0))))
  })

  it('of one extension start at zero', async () => {
    const measured = new Uint8Array(32).fill(3)
    expect(await extendedOnce(measured)).toEqual(await sha256(new Uint8Array(32), measured))
  })
})

describe('an attestation key', () => {
  it('is ECDSA on P-256 or RSASSA of 2048 bits', async () => {
    const [ec, rs] = [
      await importAttestationKey(ecdsa.public),
      await importAttestationKey(rsa.public),
    ]
    expect([ec.algorithm, rs.algorithm]).toEqual(['ecdsa-p256', 'rsassa-2048'])
    expect(ec.name).toEqual(concat(u16(0x000b), await sha256(ecdsa.public)))
    expect(ec.jwk).toEqual({ kty: 'EC', crv: 'P-256', x: ecJwk.x, y: ecJwk.y })
    expect(rs.jwk).toEqual({ kty: 'RSA', n: rsaJwk.n, e: 'AQAB' })
  })

  it.each([
    ['fixedTPM', 0x00000002],
    ['fixedParent', 0x00000010],
    ['sensitiveDataOrigin', 0x00000020],
    ['restricted', 0x00010000],
    ['sign', 0x00040000],
  ])('has %s', async (_name, bit) => {
    for (const jwk of [ecJwk, rsaJwk])
      await expect(importAttestationKey(tpmtOf(jwk, AK_ATTRIBUTES & ~bit))).rejects.toThrow(invalid)
  })

  it('does not decrypt, and may have other attributes', async () => {
    for (const jwk of [ecJwk, rsaJwk]) {
      await expect(importAttestationKey(tpmtOf(jwk, AK_ATTRIBUTES | 0x00020000))).rejects.toThrow(
        invalid,
      )
      await expect(importAttestationKey(tpmtOf(jwk, AK_ATTRIBUTES & ~0x40))).resolves.toBeDefined()
    }
  })

  const patched = (bytes: Bytes, at: number, patch: Bytes) => {
    const out = bytes.slice()
    out.set(patch, at)
    return importAttestationKey(out)
  }

  it.each([
    ['another type', 0, u16(0x0008)],
    ['a name algorithm of SHA-1', 2, u16(0x0004)],
    ['a name algorithm of SHA-384', 2, u16(0x000c)],
    ['AES', 10, u16(0x0006)],
    ['the scheme of the other type', 12, u16(0x0014)],
    ['ECDAA', 12, u16(0x001a)],
    ['no scheme', 12, u16(0x0010)],
    ['a scheme with SHA-1', 14, u16(0x0004)],
    ['P-384', 16, u16(0x0004)],
    ['a key derivation', 18, u16(0x0020)],
    ['a point that is not on the curve', 52, Uint8Array.of(0, 0, 0, 0)],
  ])('for ECDSA with %s is refused', async (_what, at, patch) => {
    await expect(patched(ecdsa.public, at, patch)).rejects.toThrow()
  })

  it.each([
    ['the type of the other', 0, u16(0x0023)],
    ['RSAPSS', 12, u16(0x0016)],
    ['3072 bits', 16, u16(3072)],
    ['exponent 3', 18, u32be(3)],
    ['exponent 1', 18, u32be(1)],
  ])('for RSASSA with %s is refused', async (_what, at, patch) => {
    await expect(patched(rsa.public, at, patch)).rejects.toThrow(invalid)
  })

  it('for RSASSA may write its exponent out', async () => {
    await expect(patched(rsa.public, 18, u32be(65537))).resolves.toMatchObject({
      algorithm: 'rsassa-2048',
    })
  })

  it('has a modulus of 256 bytes', async () => {
    const head = rsa.public.slice(0, 22)
    for (const length of [0, 128, 255, 257])
      await expect(
        importAttestationKey(concat(head, sized(new Uint8Array(length).fill(0xff)))),
      ).rejects.toThrow(invalid)
  })

  it('is a point of its curve', async () => {
    const other = fromBase64url(ecJwk.x!)
    other[31]! ^= 1
    const bent = tpmtOf({ ...ecJwk, x: toBase64url(other) })
    await expect(importAttestationKey(bent)).rejects.toThrow(invalid)
  })

  it('that is cut or continued is refused', async () => {
    for (const { public: bytes } of [ecdsa, rsa]) {
      for (let length = 0; length < bytes.length; length++)
        await expect(importAttestationKey(bytes.subarray(0, length))).rejects.toThrow(invalid)
      await expect(importAttestationKey(concat(bytes, Uint8Array.of(0)))).rejects.toThrow(invalid)
    }
  })
})

describe('a quote’s signature', () => {
  it('verifies under its key, over its bytes, and not otherwise', async () => {
    const bytes = await attest()
    for (const ak of [ecdsa, rsa]) {
      const key = await importAttestationKey(ak.public)
      const signature = await ak.sign(bytes)
      expect(await verifyAttestSignature(key, bytes, signature)).toBe(true)
      expect(await verifyAttestSignature(key, await attest(), signature)).toBe(false)
      const other = await importAttestationKey(
        (await createAk(ak === rsa ? 'rsassa' : 'ecdsa')).public,
      )
      expect(await verifyAttestSignature(other, bytes, signature)).toBe(false)
    }
  })

  it('fits its key’s scheme and hash', async () => {
    const bytes = await attest()
    const [ec, rs] = [
      await importAttestationKey(ecdsa.public),
      await importAttestationKey(rsa.public),
    ]
    const [ecSigned, rsaSigned] = [await ecdsa.sign(bytes), await rsa.sign(bytes)]
    await expect(verifyAttestSignature(ec, bytes, rsaSigned)).rejects.toThrow(invalid)
    await expect(verifyAttestSignature(rs, bytes, ecSigned)).rejects.toThrow(invalid)
    for (const [key, signed] of [
      [ec, ecSigned],
      [rs, rsaSigned],
    ] as const) {
      const sha1 = signed.slice()
      sha1.set(u16(0x0004), 2)
      await expect(verifyAttestSignature(key, bytes, sha1)).rejects.toThrow(invalid)
      const pss = signed.slice()
      pss.set(u16(0x0016), 0)
      await expect(verifyAttestSignature(key, bytes, pss)).rejects.toThrow(invalid)
      await expect(
        verifyAttestSignature(key, bytes, concat(signed, Uint8Array.of(0))),
      ).rejects.toThrow(invalid)
      for (let length = 0; length < signed.length; length++)
        await expect(verifyAttestSignature(key, bytes, signed.slice(0, length))).rejects.toThrow(
          invalid,
        )
    }
  })

  it('may come short of leading zeros, as may the key’s point', async () => {
    const jwk = {
      kty: 'EC',
      crv: 'P-256',
      x: 'AJJ7htMUZofshPsn-L1a669pA3PiWjsKwAtcegFzrCY',
      y: 'uq5eDtmUv_l66DQzrNbcRwl8oOP3nSQ8DBPhAf8yEhw',
    }
    const full = tpmtOf(jwk)
    const x = full.slice(22, 54)
    expect(x[0]).toBe(0)
    const short = concat(full.slice(0, 20), sized(x.slice(1)), full.slice(54))
    const key = await importAttestationKey(short)
    expect(key.jwk).toEqual({ kty: 'EC', crv: 'P-256', x: jwk.x, y: jwk.y })
    const signatures = [
      '00b89f3df6da5143d38e64df27685562c6a2366dc814d1e38dccd97fceb5348c2946657e7855ba62fab72d6fe66c32617949f3cfd2d2d70aa1dbdd26a864b724',
      '7e3548c1688a524ca5e4f471e09afc00a2b8fc40b0bb78bc45568f639537cec800c44c74bd9f31fe019012c1dc5e053e2cf96eb4bf1258db4f10189f5d33a862',
    ]
    for (const hex of signatures) {
      const [r, s] = [fromHex(hex).slice(0, 32), fromHex(hex).slice(32)]
      const strip = (value: Bytes) => (value[0] === 0 ? value.slice(1) : value)
      const head = concat(u16(0x0018), u16(0x000b))
      for (const signature of [
        concat(head, sized(r), sized(s)),
        concat(head, sized(strip(r)), sized(strip(s))),
      ])
        expect(await verifyAttestSignature(key, utf8('attest'), signature)).toBe(true)
    }
  })
})

describe('a reader of TPM structures', () => {
  it('reads big-endian numbers and sized buffers', () => {
    const r = new TpmReader(fromHex('0102030405060708090a0b0c0d0e0f0002aabb'))
    expect([r.u8(), r.u16(), r.u32(), r.u64()]).toEqual([
      1,
      0x0203,
      0x04050607,
      0x08090a0b0c0d0e0fn,
    ])
    expect(r.sized(2)).toEqual(fromHex('aabb'))
    expect(() => r.end()).not.toThrow()
    expect(() => r.u8()).toThrow(invalid)
  })

  it('bounds a buffer before it takes it', () => {
    const r = new TpmReader(fromHex('ffff00'))
    expect(() => r.sized()).toThrow(/65535 bytes; at most 4096/)
  })
})
