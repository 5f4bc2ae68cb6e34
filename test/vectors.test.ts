// The vectors are what the generator makes, and a second verifier, written in Python from SPEC.md, comes to the same
// end on each of them. Ours runs them in protocol/src/vectors/.
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const VECTORS = join(import.meta.dirname, '..', 'protocol', 'vectors')
/** Keys are searched for and hundreds of verdicts made, on however busy a machine. */
const PATIENCE_MS = 600_000
const run = promisify(execFile)
const python = async (...parts: string[]) =>
  (
    await run('/usr/bin/python3', [
      '-B',
      join(import.meta.dirname, ...parts.slice(0, 2)),
      ...parts.slice(2),
    ])
  ).stdout

async function formats(): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  for (const name of await readdir(VECTORS)) {
    const file = JSON.parse(await readFile(join(VECTORS, name), 'utf8'))
    if (file.format) found.set(file.format, file.cases.length)
  }
  return found
}

test(
  'the vectors are what the generator makes',
  async () => {
    expect(await python('vectors', 'generate.py', '--check')).toBe('')
  },
  PATIENCE_MS,
)

test(
  'the second verifier agrees on every case of every format',
  async () => {
    const ran = (await python('python', 'check_vectors.py')).trim().split('\n')
    const counts = ran.map((line) => line.split(' ') as [string, string])
    expect(new Map(counts.map(([format, count]) => [format, Number(count)]))).toEqual(
      await formats(),
    )
  },
  PATIENCE_MS,
)

test('each format has cases that are accepted and cases that are refused, with reasons', async () => {
  for (const format of (await formats()).keys()) {
    const { cases } = JSON.parse(await readFile(join(VECTORS, `${format}.json`), 'utf8'))
    const all = cases as { valid: boolean; reason?: string }[]
    expect(
      all.some(({ valid }) => valid),
      format,
    ).toBe(true)
    expect(
      all.some(({ valid }) => !valid),
      format,
    ).toBe(true)
    for (const { valid, reason } of all) expect(Boolean(reason)).toBe(!valid)
  }
})

test('generator and second verifier name no code of ours', async () => {
  const standard =
    'base64 contextlib copy datetime functools hashlib hmac ipaddress json math pathlib re struct sys urllib'
  const own = (await readdir(join(import.meta.dirname, 'vectors'))).map((file) => file.slice(0, -3))
  const allowed = new Set([...standard.split(' '), 'cryptography', 'verifier', ...own])
  for (const folder of ['vectors', 'python', 'python/verifier'])
    for (const name of await readdir(join(import.meta.dirname, folder))) {
      if (!name.endsWith('.py')) continue
      const source = await readFile(join(import.meta.dirname, folder, name), 'utf8')
      const imports = [...source.matchAll(/^\s*(?:from|import) (\w+)/gm)].map(([, of]) => of!)
      expect(
        imports.filter((module) => !allowed.has(module)),
        name,
      ).toEqual([])
    }
})
