// The watch reads what tables there are, then listens: of a table made in between it says that it does not know it, and
// cannot be believed. `nft` is stood in front of here by a script that widens that moment; the rest is the real one.
// Mutants: the watch started before the fence is made, or once only (`Firewall.open`); a home for `nft -i`.
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Firewall } from '../../embassy/src/seal/firewall.ts'
import { run } from '../../scripts/world/run.ts'

const PREFIX = 'sealed_f1f2_'
const FENCE = `${PREFIX}fence`
const WARNING = 'W: Unable to cache set: table not found.'
const { PATH } = process.env
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-firewall-'))
})
afterEach(async () => {
  process.env.PATH = PATH
  await run('nft', ['delete', 'table', 'inet', FENCE])
  await rm(directory, { recursive: true })
})

/** Every `nft monitor` from here on runs `script` first, and leaves a line in `starts`. */
async function beforeEachWatch(script: string): Promise<void> {
  const nft = (await run('sh', ['-c', 'command -v nft'])).trim()
  const lines = [
    '#!/bin/sh',
    'if [ "$1" = monitor ]; then',
    `echo started >> ${directory}/starts`,
    script,
    'fi',
    `exec ${nft} "$@"`,
  ]
  await writeFile(join(directory, 'nft'), `${lines.join('\n')}\n`)
  await chmod(join(directory, 'nft'), 0o755)
  process.env.PATH = `${directory}:${PATH}`
}

const starts = async () =>
  (await readFile(join(directory, 'starts'), 'utf8')).split('\n').length - 1
const open = () =>
  Firewall.open({ namespace: undefined, timeoutMs: 2_000, prefix: PREFIX, fences: FENCE })

test('the table of the fences is there before the watch is', async () => {
  await beforeEachWatch(
    `nft list table inet ${FENCE} > /dev/null || { echo "${WARNING}" >&2; exit 1; }`,
  )
  await (await open()).close()
  expect(await starts()).toBe(1)
})

test('a watch that met a stranger’s table is replaced by one that knows it', async () => {
  await beforeEachWatch(`[ "$(wc -l < ${directory}/starts)" -gt 1 ] || echo "${WARNING}" >&2`)
  const firewall = await open()
  const { heard } = await firewall.fenced([`list table inet ${FENCE}`], 1, FENCE)
  await firewall.close()
  expect([heard.touched, await starts()]).toEqual([0, 2])
})

test('nothing of it is left in its user’s home, where the next one would read it', async () => {
  const { HOME } = process.env
  process.env.HOME = directory
  try {
    await (await open()).close()
  } finally {
    process.env.HOME = HOME
  }
  expect(await readdir(directory)).toEqual([])
})

test('watches that never know everything are given up, with what the last one said', async () => {
  await beforeEachWatch(`echo "${WARNING}" >&2`)
  await expect(open()).rejects.toMatchObject({
    code: 'seal.failed',
    message: expect.stringContaining(WARNING),
  })
  expect(await starts()).toBe(3)
})
