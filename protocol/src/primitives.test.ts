// The same bytes by Web Crypto and by Node's own functions, and the same refusals.
// Mutants: a digest, MAC, key or cipher of another algorithm; associated data left out; the tag in front, cut, or not
// looked at; short tags taken.
import { describe, expect, test } from 'vitest'
import { type Bytes, concat, randomBytes, toHex } from './bytes.ts'
import * as primitives from './primitives.ts'
import { AT_ONCE_BYTES, atOnce, type NodeCrypto, web } from './primitives.ts'

interface Runtime {
  process?: { getBuiltinModule?: (name: string) => NodeCrypto | undefined }
}
const node = (globalThis as Runtime).process?.getBuiltinModule?.('node:crypto')
const LENGTHS = [0, 1, 15, 16, 17, 63, 64, 65, 1_000, AT_ONCE_BYTES, AT_ONCE_BYTES + 1]
const filled = (length: number): Bytes => {
  const out = new Uint8Array(length)
  for (let at = 0; at < length; at += 65_536)
    crypto.getRandomValues(out.subarray(at, Math.min(length, at + 65_536)))
  return out
}
const rejected = async (act: Promise<unknown>) =>
  expect(
    await act.then(
      () => 'taken',
      () => 'refused',
    ),
  ).toBe('refused')

test('the digest of “abc” is the one of FIPS 180-4', async () => {
  expect(toHex(await primitives.sha256(new TextEncoder().encode('abc')))).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  )
})

test('HKDF is that of RFC 5869, test case 1, as far as 32 bytes go', async () => {
  const salt = Uint8Array.from({ length: 13 }, (_, i) => i)
  const info = Uint8Array.from({ length: 10 }, (_, i) => 0xf0 + i)
  const key = await primitives.hkdfSha256(new Uint8Array(22).fill(0x0b), salt, info)
  expect(toHex(key)).toBe('3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf')
})

/** Where a runtime has nothing of Node's there is nothing to compare, and no test of it. */
const describeBoth = (name: string, tests: (node: NodeCrypto) => void) => {
  if (node) describe(name, () => tests(node))
}

describeBoth('at once as by Web Crypto:', (node) => {
  const fast = atOnce(node)
  const [key, other] = [randomBytes(32), randomBytes(32)]

  test.each(LENGTHS)('digest and MAC of %i bytes', async (length) => {
    const data = filled(length)
    expect(await fast.sha256(data)).toEqual(await web.sha256(data))
    expect(await fast.hmacSha256(key, data)).toEqual(await web.hmacSha256(key, data))
    expect(await fast.hmacSha256(other, data)).not.toEqual(await web.hmacSha256(key, data))
  })

  test('HKDF', async () => {
    const [salt, info] = [randomBytes(32), randomBytes(40)]
    expect(await fast.hkdfSha256(key, salt, info)).toEqual(await web.hkdfSha256(key, salt, info))
    expect(await fast.hkdfSha256(key, info, salt)).not.toEqual(
      await web.hkdfSha256(key, salt, info),
    )
  })

  test.each(LENGTHS)('AES-GCM of %i bytes, each opening what the other sealed', async (length) => {
    const [data, iv, associated] = [filled(length), randomBytes(12), randomBytes(33)]
    const [one, two] = [await fast.aesGcm(key), await web.aesGcm(key)]
    const sealed = await one.encrypt(iv, associated, data)
    expect(sealed).toEqual(await two.encrypt(iv, associated, data))
    for (const cipher of [one, two]) {
      expect(await cipher.decrypt(iv, associated, sealed)).toEqual(data)
      const behind = await cipher.encrypt(iv, associated, data, Uint8Array.of(1, 2))
      expect(behind).toEqual(concat(Uint8Array.of(1, 2), sealed))
    }
  })

  test.each(LENGTHS)('AES-CBC of %i bytes, each opening what the other sealed', async (length) => {
    const [data, iv, half] = [filled(length), randomBytes(16), key.slice(0, 16)]
    const [one, two] = [await fast.aesCbc(half), await web.aesCbc(half)]
    const sealed = await one.encrypt(iv, data)
    expect(sealed).toEqual(await two.encrypt(iv, data))
    for (const cipher of [one, two]) expect(await cipher.decrypt(iv, sealed)).toEqual(data)
  })

  test.each([
    ['Web Crypto', web],
    ['Node', fast],
  ])(
    '%s opens nothing that was changed, cut, bound to something else or under another key',
    async (_, by) => {
      const [iv, associated] = [randomBytes(12), randomBytes(33)]
      const cipher = await by.aesGcm(key)
      const sealed = await cipher.encrypt(iv, associated, filled(100))
      for (const at of [0, 50, 99, 100, 115]) {
        const changed = sealed.slice()
        changed[at]! ^= 1
        await rejected(cipher.decrypt(iv, associated, changed))
      }
      for (const length of [0, 4, 12, 15, 16, 115])
        await rejected(cipher.decrypt(iv, associated, sealed.slice(0, length)))
      await rejected(cipher.decrypt(iv, associated, concat(sealed, Uint8Array.of(0))))
      // Nothing but a tag, cut: the beginning of a good one is none.
      const tag = await cipher.encrypt(iv, associated, new Uint8Array(0))
      for (const length of [4, 8, 12, 15])
        await rejected(cipher.decrypt(iv, associated, tag.slice(0, length)))
      await rejected(cipher.decrypt(iv, randomBytes(33), sealed))
      await rejected(cipher.decrypt(randomBytes(12), associated, sealed))
      await rejected((await by.aesGcm(other)).decrypt(iv, associated, sealed))
    },
  )

  test('neither takes bad padding', async () => {
    for (const by of [web, fast]) {
      const cipher = await by.aesCbc(key.slice(0, 16))
      const sealed = await cipher.encrypt(randomBytes(16), filled(40))
      await rejected(cipher.decrypt(randomBytes(16), sealed.slice(0, 17)))
      await rejected(cipher.decrypt(randomBytes(16), new Uint8Array(0)))
    }
  })

  test('what comes out has a buffer of its own', async () => {
    const cipher = await fast.aesGcm(key)
    for (const bytes of [
      await fast.sha256(key),
      await fast.hmacSha256(key, key),
      await cipher.encrypt(randomBytes(12), key, key),
    ])
      expect(bytes.buffer.byteLength).toBe(bytes.length)
  })
})
