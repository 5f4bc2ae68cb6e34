import { fromHex } from '@sealed/protocol'
import { describe, expect, test } from 'vitest'
import { publicKey } from './attestation-key.ts'

const X = 'e6d1bd1ae935480b3b31f9eaa7205f8b68286818b798d0b74c31ee1f0bcbcda9'
const Y = 'e9ce9145f203d94d6984166a9de34a2da252a45e4687ae6c0726a3635a3fa7d9'
const ecc = (o: { attributes?: string; scheme?: string; x?: string } = {}) =>
  fromHex(
    `0023000b${o.attributes ?? '00050072'}00000010${o.scheme ?? '0018000b'}00030010` +
      `${o.x ?? `0020${X}`}0020${Y}`,
  )
const rsa = (head = '0001000b00050072000000100014000b080000000000') =>
  fromHex(`${head}0100${'c3'.repeat(256)}`)
const b64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64url')

describe('public area to JWK', () => {
  test('ECDSA P-256', () => {
    const jwk = publicKey(ecc(), 'ecdsa-p256')
    expect(jwk).toEqual({ kty: 'EC', crv: 'P-256', x: b64(X), y: b64(Y) })
  })

  test('a coordinate whose leading zero the TPM dropped is padded', () => {
    const jwk = publicKey(ecc({ x: `001f${X.slice(2)}` }), 'ecdsa-p256')
    expect(jwk.x).toBe(b64(`00${X.slice(2)}`))
  })

  test('RSA-2048', () => {
    expect(publicKey(rsa(), 'rsassa-2048')).toEqual({
      kty: 'RSA',
      n: b64('c3'.repeat(256)),
      e: 'AQAB',
    })
  })

  test.each([
    ['not restricted: it would sign a forged quote', ecc({ attributes: '00040072' })],
    ['not fixed to this TPM', ecc({ attributes: '00050070' })],
    ['made elsewhere', ecc({ attributes: '00050052' })],
    ['able to decrypt', ecc({ attributes: '00070072' })],
    ['of another scheme', ecc({ scheme: '001a000b' })],
    ['of another hash', ecc({ scheme: '00180004' })],
    ['RSA where ECC was asked for', rsa()],
    ['with bytes after it', fromHex(`${Buffer.from(ecc()).toString('hex')}00`)],
    ['cut short', ecc().subarray(0, -1)],
    ['with an oversized coordinate', ecc({ x: `0021${X}00` })],
  ])('refuses a key %s', (_, area) => {
    expect(() => publicKey(area, 'ecdsa-p256')).toThrow(
      expect.objectContaining({ code: 'tpm.failed' }),
    )
  })

  test.each([
    ['RSA-1024', '0001000b00050072000000100014000b040000000000'],
    ['an own exponent', '0001000b00050072000000100014000b080000000003'],
    ['PSS', '0001000b00050072000000100016000b080000000000'],
  ])('refuses RSA with %s', (_, head) => {
    expect(() => publicKey(rsa(head), 'rsassa-2048')).toThrow(
      expect.objectContaining({ code: 'tpm.failed' }),
    )
  })
})
