// Mutants: `strictObject` made `object`, either `isUnique` dropped, a bound dropped.
import { describe, expect, it } from 'vitest'
import { parseApiKeys } from './api-keys.ts'
import { utf8 } from './bytes.ts'

const KEY = { created_ms: 1_790_000_000_000, digest: 'ab'.repeat(32), name: 'laptop' }
const OTHER = { ...KEY, digest: 'cd'.repeat(32), name: 'site' }
const parse = (value: unknown) => parseApiKeys(utf8(JSON.stringify(value)))
const file = (...keys: object[]) => ({ keys, version: 1 })
const invalid = expect.objectContaining({ code: 'config.invalid' })

describe('keys.json', () => {
  it('holds keys, with limits of their own and the day of their end', () => {
    const limited = { ...OTHER, concurrent_requests: 2, requests_per_minute: 60, revoked_ms: 1 }
    expect(parse(file())).toEqual(file())
    expect(parse(file(KEY, limited))).toEqual(file(KEY, limited))
  })

  it.each([
    { ...KEY, key: 'sk-sealed-x' },
    { ...KEY, digest: KEY.digest.toUpperCase() },
    { ...KEY, digest: KEY.digest.slice(2) },
    { ...KEY, name: 'No name' },
    { ...KEY, name: 'a:b' },
    { ...KEY, created_ms: '1' },
    { ...KEY, revoked_ms: null },
    { ...KEY, requests_per_minute: 0 },
    { ...KEY, concurrent_requests: 0 },
    { digest: KEY.digest, name: KEY.name },
  ])('refuses %j', (key) => {
    expect(() => parse(file(key))).toThrow(invalid)
  })

  it('gives nobody the name or the key of another, revoked or not', () => {
    expect(() => parse(file(KEY, { ...OTHER, name: KEY.name }))).toThrow(invalid)
    const revoked = { ...KEY, revoked_ms: 1 }
    expect(() => parse(file(revoked, { ...OTHER, name: KEY.name }))).toThrow(invalid)
    expect(() => parse(file(KEY, { ...OTHER, digest: KEY.digest }))).toThrow(invalid)
  })

  it('is strict: no other member, version or spelling', () => {
    for (const value of [{ ...file(), more: 1 }, { keys: [] }, { keys: [], version: 2 }, []])
      expect(() => parse(value)).toThrow(invalid)
    const text = JSON.stringify(file(KEY))
    for (const other of [`${text}x`, text.replace('{', '{"version":1,'), ''])
      expect(() => parseApiKeys(utf8(other))).toThrow(
        expect.objectContaining({ code: 'json.invalid' }),
      )
  })
})
