// A header's way to the disk, cut off anywhere: what then is there is empty, the header of before, or the new one.
// Mutants tried, each found here: written front to back, in one piece, second copy before the key slot.
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HEADER_BYTES, isEmpty, readHeader, steps, writeHeader } from './device.ts'
import { createHeader, readSealedKey, writeSealedKey } from './luks.ts'
import { run } from './run.ts'
import type { SealedKey } from './sealed-key.ts'

let directory: string
const headers: Uint8Array[] = []
const key = new Uint8Array(32).fill(7)
const sealed = (securityVersion: number): SealedKey => ({
  securityVersion,
  limit: 5n,
  parent: new Uint8Array(34),
  blob: { public: new Uint8Array(80), private: new Uint8Array(100) },
})
const file = (name: string) => join(directory, name)

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-header-'))
  for (const name of ['header', 'disk']) await writeFile(file(name), '')
  await truncate(file('header'), HEADER_BYTES)
  await truncate(file('disk'), 8 * HEADER_BYTES)
  await createHeader(run, file('header'), file('disk'), key)
  for (const version of [1, 2]) {
    await writeSealedKey(run, file('header'), sealed(version))
    headers.push(await readHeader(file('header')))
  }
})
afterAll(() => rm(directory, { recursive: true }))

/** The disk after so many whole steps and part of the next. */
function cut(before: Uint8Array, after: Uint8Array, whole: number, bytesOfNext: number) {
  const disk = before.slice()
  const all = steps(after)
  for (const { at, bytes } of all.slice(0, whole)) disk.set(bytes, at)
  const next = all[whole]
  if (next) disk.set(next.bytes.subarray(0, bytesOfNext), next.at)
  return disk
}

/** Opens with the key, or is empty. */
async function reads(disk: Uint8Array): Promise<number | 'empty' | 'broken'> {
  await writeFile(file('cut'), disk)
  const found = await readSealedKey(run, file('cut')).catch(() => undefined)
  if (!found) return isEmpty(disk) ? 'empty' : 'broken'
  const header = ['--header', file('cut'), '--key-file', '-']
  await run(['cryptsetup', 'open', '--test-passphrase', ...header, file('disk')], key)
  return found.securityVersion
}

// 0: between two steps. 700: in the binary header. 5000: in the metadata. 100000: in the key slot.
const CUTS = [0, 1, 2, 3].flatMap((whole) => [0, 700, 5000, 100_000].map((part) => [whole, part]))

test('a first header leaves an empty disk or a whole state', async () => {
  const found = []
  for (const [whole, part] of CUTS)
    found.push(await reads(cut(new Uint8Array(HEADER_BYTES), headers[0]!, whole!, part!)))
  found.push(await reads(headers[0]!))
  expect(found.slice(0, 11)).toEqual(Array(11).fill('empty'))
  expect(found.slice(11)).toEqual(Array(6).fill(1))
})

test('a header in the place of another leaves one of the two', async () => {
  for (const [whole, part] of CUTS)
    expect([1, 2]).toContain(await reads(cut(headers[0]!, headers[1]!, whole!, part!)))
  expect(await reads(headers[1]!)).toBe(2)
})

test('is written whole, and nothing beside it', async () => {
  await writeFile(file('disk'), new Uint8Array(HEADER_BYTES + 1024).fill(0xee))
  await writeHeader(file('disk'), headers[0]!)
  const disk = new Uint8Array(await readFile(file('disk')))
  expect(disk.slice(0, HEADER_BYTES)).toEqual(headers[0])
  expect(disk.slice(HEADER_BYTES)).toEqual(new Uint8Array(1024).fill(0xee))
  await expect(writeHeader(file('none'), headers[0]!)).rejects.toThrow('no such file')
})
