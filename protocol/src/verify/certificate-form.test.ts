// A certificate has one spelling: no bit around what its issuer signed can be changed, nor any byte added.
import 'reflect-metadata'
import { X509Certificate } from '@peculiar/x509'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, concat, fromBase64url } from '../bytes.ts'
import { isWholeCertificate } from './certificate-form.ts'
import { flip } from './test-scene.ts'
import { makeSnp } from './test-snp.ts'
import { createAk, issueChain } from './test-tpm.ts'
import { NOW } from './test-world.ts'

let ecdsa: Bytes[]
let rsa: Bytes[]
beforeAll(async () => {
  ecdsa = await issueChain((await createAk()).publicKey, NOW)
  rsa = (await makeSnp(new Uint8Array(64))).record.certificates!.map(fromBase64url)
})

/** Where what is signed ends: behind `SEQUENCE { SEQUENCE`, each with a length of one or two bytes behind 81 or 82. */
function endOfSigned(der: Bytes): number {
  const header = der[1] === 0x82 ? 4 : 3
  return der[header + 1] === 0x82
    ? header + 4 + der[header + 2]! * 256 + der[header + 3]!
    : header + 3 + der[header + 2]!
}

/** An ECDSA certificate with its signature written otherwise: `integer` makes r, `length` a length, in bytes. */
function rewritten(
  der: Bytes,
  integer: (r: Bytes) => Uint8Array,
  length: (n: number) => Uint8Array = (n) => Uint8Array.of(n),
): Bytes {
  const behind = endOfSigned(der)
  const bits = behind + 2 + der[behind + 1]!
  const r = bits + 5
  const s = r + 2 + der[r + 1]!
  const number = (tag: number, value: Uint8Array) => concat(Uint8Array.of(tag, value.length), value)
  const numbers = concat(number(2, integer(der.slice(r + 2, s) as Bytes)), der.slice(s))
  const content = concat(Uint8Array.of(0), number(0x30, numbers))
  const body = concat(der.slice(4, bits), Uint8Array.of(3), length(content.length), content)
  return concat(Uint8Array.of(0x30, 0x82, body.length >> 8, body.length & 255), body)
}

/** As the library and we together judge it. */
async function isAccepted(der: Uint8Array, issuer: X509Certificate): Promise<boolean> {
  if (!isWholeCertificate(der)) return false
  try {
    const { publicKey } = issuer
    return await new X509Certificate(der as Bytes).verify({ publicKey, signatureOnly: true })
  } catch {
    return false
  }
}

describe.each([
  ['ECDSA', () => ecdsa],
  ['RSA-PSS', () => rsa],
] as const)('a certificate under %s', (_algorithm, chain) => {
  it('is accepted as it was issued', async () => {
    for (const [i, der] of chain().entries()) {
      const issuer = new X509Certificate(chain()[i + 1] ?? der)
      expect(await isAccepted(der, issuer)).toBe(true)
    }
  })

  it('keeps every bit around what is signed', async () => {
    const [der, ca] = chain() as [Bytes, Bytes]
    const issuer = new X509Certificate(ca)
    const behind = endOfSigned(der)
    const signed = [...Array(8 * 8).keys()]
    // an RSA signature is one number: its last bytes are as good as its first
    const end = Math.min(der.length, behind + 160)
    const around = Array.from({ length: 8 * (end - behind) }, (_, i) => 8 * behind + i)
    for (const bit of [...signed, ...around])
      expect(await isAccepted(flip(der, bit), issuer), `bit ${bit}`).toBe(false)
  })

  it('has nothing before, behind or inside it that is not its own', () => {
    for (const der of chain()) {
      const behind = endOfSigned(der)
      for (const bytes of [
        concat(der, Uint8Array.of(0)),
        concat(Uint8Array.of(0x30), der),
        der.slice(0, -1),
        der.slice(0, behind),
        der.slice(4),
        new Uint8Array(0),
        Uint8Array.of(0x30, 0x80),
        Uint8Array.of(0x30, 0x00),
        Uint8Array.of(0x30, 0x84, 0, 0, 0, 1, 0),
      ])
        expect(isWholeCertificate(bytes)).toBe(false)
      const more = concat(der, Uint8Array.of(5, 0))
      const length = more.length - 4
      more.set([length >> 8, length & 255], 2)
      expect(isWholeCertificate(more)).toBe(false)
    }
  })
})

describe('an ECDSA signature', () => {
  it('has its numbers and lengths in their shortest form', () => {
    for (const der of ecdsa) {
      expect(rewritten(der, (r) => r)).toEqual(der)
      expect(isWholeCertificate(rewritten(der, (r) => concat(Uint8Array.of(0, 0), r)))).toBe(false)
      expect(isWholeCertificate(rewritten(der, () => Uint8Array.of(0x80)))).toBe(false)
      expect(isWholeCertificate(rewritten(der, () => new Uint8Array(0)))).toBe(false)
      for (const long of [(n: number) => [0x81, n], (n: number) => [0x82, 0, n]]) {
        const other = rewritten(
          der,
          (r) => r,
          (n) => Uint8Array.from(long(n)),
        )
        expect(isWholeCertificate(other)).toBe(false)
      }
    }
  })
})
