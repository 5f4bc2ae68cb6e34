// Mutants: the filter of revoked keys dropped; `this.#keys = undefined` dropped; PATIENCE 0 or 2; the stamp without
// ctime and inode; `start` that does not read again.
import { chmod, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { KeyFile } from './key-file.ts'

let directory = ''
let path = ''
const opened: KeyFile[] = []
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keys-'))
  path = join(directory, 'keys.json')
})
afterEach(async () => {
  for (const file of opened.splice(0)) await file.stop()
  await rm(directory, { recursive: true })
})

const entry = (name: string, more: object = {}) => ({
  created_ms: 1,
  digest: Buffer.from(name).toString('hex').padEnd(64, '0'),
  name,
  ...more,
})
const write = async (...keys: object[]) => {
  await writeFile(`${path}.new`, JSON.stringify({ keys, version: 1 }))
  await rename(`${path}.new`, path)
}
const faults: string[] = []
const openFile = async () => {
  faults.length = 0
  const file = await KeyFile.open(path, (reason) => faults.push(reason))
  opened.push(file)
  return file
}
const names = (file: KeyFile) => file.current().map(({ name }) => name)
const unknown = expect.objectContaining({ code: 'config.invalid' })

it('admits the keys that are there now, and none that was revoked', async () => {
  await write(entry('a', { requests_per_minute: 5, concurrent_requests: 2 }), entry('b'))
  const file = await openFile()
  const [a, b] = file.current()
  expect(a).toEqual({
    digest: entry('a').digest,
    name: 'a',
    requestsPerMinute: 5,
    concurrentRequests: 2,
  })
  expect(b).toEqual({ digest: entry('b').digest, name: 'b' })
  expect(file.current()).toBe(file.current())
  await write(entry('a', { revoked_ms: 5 }), entry('b'), entry('c'))
  await file.look()
  expect(names(file)).toEqual(['b', 'c'])
  await write()
  await file.look()
  expect(names(file)).toEqual([])
})

it('sees a change of the same length within the same millisecond', async () => {
  await write(entry('a'))
  const file = await openFile()
  for (const name of ['b', 'c', 'd', 'e']) {
    await write(entry(name))
    await file.look()
    expect(names(file)).toEqual([name])
  }
})

it('admits nobody while it stays unreadable, says so once, and comes back by itself', async () => {
  await write(entry('a'))
  const file = await openFile()
  await writeFile(path, '{"keys": [')
  await file.look()
  expect(names(file)).toEqual(['a'])
  for (let i = 0; i < 3; i++) {
    await file.look()
    expect(() => file.current()).toThrow(unknown)
  }
  expect(faults).toHaveLength(1)
  expect(faults[0]).toContain(path)
  await write(entry('b'))
  await file.look()
  expect(names(file)).toEqual(['b'])
  await rm(path)
  await file.look()
  await file.look()
  expect(() => file.current()).toThrow(unknown)
  expect(faults[1]).toContain('sealed key create')
  await write(entry('b'))
  await file.look()
  expect(names(file)).toEqual(['b'])
})

it('is not opened when it cannot be read', async () => {
  await expect(openFile()).rejects.toThrow('sealed key create')
  await writeFile(path, '{"keys":[],"version":2}')
  await expect(openFile()).rejects.toEqual(unknown)
})

it('is what a link leads to', async () => {
  await write(entry('a'))
  await rename(path, `${path}.real`)
  await symlink(`${path}.real`, path)
  const file = await openFile()
  await file.start()
  expect(names(file)).toEqual(['a'])
})

it('looks by itself once started', async () => {
  await write(entry('a'))
  await chmod(directory, 0o711)
  const file = await openFile()
  await file.start()
  await write(entry('b'))
  while (names(file)[0] !== 'b') await new Promise((resolve) => setTimeout(resolve, 20))
})
