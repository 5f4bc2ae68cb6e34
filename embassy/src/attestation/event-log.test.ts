// The event log that goes into the attestation document is read whole, or the embassy does not start.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAX_EVENT_LOG } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readEventLog } from './event-log.ts'

const refused = expect.objectContaining({ code: 'config.invalid' })
let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-log-'))
  path = join(directory, 'log')
})
afterEach(() => rm(directory, { recursive: true }))

test('is read to its last byte', async () => {
  for (const length of [1, 5000, MAX_EVENT_LOG]) {
    const bytes = new Uint8Array(length).fill(7)
    await writeFile(path, bytes)
    expect(await readEventLog(path)).toEqual(bytes)
  }
})

test('is read where the system gives a file no size', async () => {
  expect((await readEventLog('/proc/self/stat')).length).toBeGreaterThan(10)
})

test('is refused when it is missing, no file, empty, or too long', async () => {
  await expect(readEventLog(path)).rejects.toThrow(refused)
  await expect(readEventLog(directory)).rejects.toThrow(refused)
  await writeFile(path, '')
  await expect(readEventLog(path)).rejects.toThrow(refused)
  await writeFile(path, new Uint8Array(MAX_EVENT_LOG + 1))
  await expect(readEventLog(path)).rejects.toThrow('longer than')
  await expect(readEventLog('/dev/zero')).rejects.toThrow('longer than')
})
