// The same verdicts by Web Crypto and by Node's own functions, and envelopes' keys that either encrypts.
// Mutants: a signature read as DER, over another digest, or not looked at; OAEP with SHA-1; Node's functions where the
// runtime only looks like Node.
import { describe, expect, test } from 'vitest'
import { type Bytes, concat, randomBytes, toHex } from './bytes.ts'
import { AT_ONCE_BYTES } from './primitives.ts'
import * as chosen from './public-keys.ts'
import { atOnce, node, web } from './public-keys.ts'

const RSA = { publicExponent: Uint8Array.of(1, 0, 1), hash: 'SHA-256' }
const ways = [web, chosen, ...(node ? [atOnce(node)] : [])]

describe.each([
  ['Ed25519', { name: 'Ed25519' }],
  ['ECDSA over P-256', { name: 'ECDSA', namedCurve: 'P-256' }],
  ['RSASSA', { name: 'RSASSA-PKCS1-v1_5', ...RSA, modulusLength: 2048 }],
])('a signature by %s', (_, algorithm) => {
  const pair = async () =>
    (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair
  const sign = async ({ privateKey }: CryptoKeyPair, data: Bytes) => {
    const how = { name: algorithm.name, hash: 'SHA-256' }
    return new Uint8Array(await crypto.subtle.sign(how, privateKey, data))
  }

  test.each([0, 1, 1_000, AT_ONCE_BYTES, AT_ONCE_BYTES + 1])('over %i bytes', async (length) => {
    const [ours, data] = [await pair(), new Uint8Array(length).fill(7)]
    const signature = await sign(ours, data)
    for (const by of ways) {
      expect(await by.verify(ours.publicKey, signature, data)).toBe(true)
      expect(await by.verify(ours.publicKey, signature, concat(data, Uint8Array.of(7)))).toBe(false)
    }
  })

  test('does not hold when changed, cut, longer, of all zeros, or by another key', async () => {
    const [ours, theirs, data] = [await pair(), await pair(), randomBytes(100)]
    const good = await sign(ours, data)
    const flipped = (at: number) => good.map((byte, i) => (i === at ? byte ^ 1 : byte))
    const bad = [
      flipped(0),
      flipped(good.length - 1),
      good.slice(1),
      good.slice(0, -1),
      concat(good, Uint8Array.of(0)),
      new Uint8Array(good.length),
      new Uint8Array(0),
      await sign(theirs, data),
    ]
    for (const by of ways)
      for (const signature of bad) {
        // One runtime throws where a signature of Ed25519 is too short or too long.
        const verdict = by.verify(ours.publicKey, signature, data).catch(() => false)
        expect(await verdict).toBe(false)
      }
  })
})

test('what is encrypted by OAEP is decrypted by Web Crypto, and is never the same twice', async () => {
  const algorithm = { name: 'RSA-OAEP', ...RSA, modulusLength: 3072 }
  const usages: KeyUsage[] = ['encrypt', 'decrypt']
  const keys = await crypto.subtle.generateKey(algorithm, true, usages)
  const plaintext = randomBytes(128)
  const seen = new Set<string>()
  for (const by of [...ways, web]) {
    const sealed = await by.oaepEncrypt(keys.publicKey, plaintext)
    seen.add(toHex(sealed))
    const opened = await crypto.subtle.decrypt('RSA-OAEP', keys.privateKey, sealed)
    expect(new Uint8Array(opened)).toEqual(plaintext)
    // 384 bytes, less two digests and two bytes (RFC 8017, 7.1.1).
    await expect(by.oaepEncrypt(keys.publicKey, randomBytes(384 - 66 + 1))).rejects.toThrow()
  }
  expect(seen.size).toBe(ways.length + 1)
})
