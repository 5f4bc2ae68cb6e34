// How the pipe to nft behaves when nft does not: a program of the same name takes its place on the path, since the
// real one cannot be made to say too much or nothing. What the real one says is in test/escape-lifecycle.test.ts.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Nft, openNft } from './nft.ts'

const LISTING = '{"nftables":[]}\\n'
const failed = expect.objectContaining({ code: 'seal.failed' })

let directory: string
let nft: Nft

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-nft-'))
  vi.stubEnv('PATH', `${directory}:${process.env.PATH}`)
})
afterEach(async () => {
  await nft.close()
  vi.unstubAllEnvs()
  await rm(directory, { recursive: true })
})

/** Opens the pipe to a shell program that reads lines into $line. */
async function open(script: string, timeoutMs = 20_000): Promise<void> {
  await writeFile(join(directory, 'nft'), `#!/bin/sh\nwhile read -r line; do\n${script}\ndone\n`)
  await chmod(join(directory, 'nft'), 0o755)
  nft = openNft({ namespace: undefined, timeoutMs })
}

describe('a request', () => {
  test('is answered by as many listings as it asks for', async () => {
    await open(`printf '${LISTING}'`)
    expect(await nft.request(['list', 'list'], 2)).toEqual([{ nftables: [] }, { nftables: [] }])
  })

  test('is answered in its turn', async () => {
    await open(`printf '{"nftables":["%s"]}\\n' "$line"`)
    const answers = await Promise.all(['a', 'b', 'c'].map((name) => nft.request([name], 1)))
    expect(answers.flat()).toEqual(['a', 'b', 'c'].map((name) => ({ nftables: [name] })))
  })

  test('is answered from pieces', async () => {
    await open(`printf '{"nftables"'; printf ':[]'; printf '}\\n'`)
    expect(await nft.request(['list'], 1)).toEqual([{ nftables: [] }])
  })
})

describe('everything fails, now and later,', () => {
  test.each([
    ['when nft complains', `echo 'Error: no such table' >&2`],
    ['when nft ends', 'exit 0'],
    ['when nft says more than it was asked', `printf '${LISTING}${LISTING}'`],
    ['when nft says something after its answer', `printf '${LISTING}more'`],
    ['when nft says what is not JSON', `printf 'table inet t {\\n'`],
  ])('%s', async (_, script) => {
    await open(script)
    await expect(nft.request(['list'], 1)).rejects.toEqual(failed)
    await expect(nft.request(['list'], 1)).rejects.toEqual(failed)
  })

  test('when nft says nothing', async () => {
    await open(':', 50)
    await expect(nft.request(['list'], 1)).rejects.toEqual(failed)
  })

  test('those that wait in line too', async () => {
    await open('exit 3')
    const all = await Promise.allSettled([1, 2, 3].map(() => nft.request(['list'], 1)))
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  })

  test('when it is closed', async () => {
    await open(`printf '${LISTING}'`)
    await nft.close()
    await expect(nft.request(['list'], 1)).rejects.toEqual(failed)
  })
})
