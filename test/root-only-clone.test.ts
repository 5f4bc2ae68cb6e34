// A clone below a directory that only root may enter, as /root is: gateway and relay have given root up by the time they
// first need some of their files.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const run = promisify(execFile)
let closed: string
let clone: string
beforeAll(async () => {
  // Made by mkdtemp with mode 0700.
  closed = await mkdtemp(join(tmpdir(), 'sealed-closed-'))
  clone = join(closed, 'clone')
  await mkdir(clone)
  await run('mount', ['--bind', resolve(import.meta.dirname, '..'), clone])
})
afterAll(async () => {
  await run('umount', [clone])
  await rm(closed, { recursive: true })
})

test('serves from a clone that its processes may not enter', async () => {
  const script = join(clone, 'test', 'support', 'one-answer.ts')
  const { stdout } = await run(process.execPath, [script, join(closed, 'state')])
  expect(stdout).toBe('200\n')
})
