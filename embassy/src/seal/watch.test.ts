// What a watch keeps of the fences that it has heard: nothing. A program of nft's name says every fence again and again.
// What the real one says is in test/escape-lifecycle.test.ts. Mutant: the answer raced against a failure that never comes,
// which keeps some 600 bytes of each.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { keptBytes } from '../test-support/kept-bytes.ts'
import { fence, MARKS, Watch } from './watch.ts'

const FENCES = 2_000
const FIRST_MARK = 1
const options = {
  namespace: undefined,
  timeoutMs: 20_000,
  prefix: 'sealed_beef_',
  fences: 'sealed_net_1',
}

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-watch-'))
  vi.stubEnv('PATH', `${directory}:${process.env.PATH}`)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(directory, { recursive: true })
})

async function watchOf(script: string): Promise<Watch> {
  await writeFile(join(directory, 'nft'), `#!/bin/sh\n${script}\n`)
  await chmod(join(directory, 'nft'), 0o755)
  return new Watch(options)
}
const everyMark = Array.from({ length: MARKS }, (_, mark) => fence(options.fences, mark))
const said = everyMark.map((line) => `echo '${line}\n# new generation 7 by process 9 (nft)'`)

test('keeps nothing of what it has answered', async () => {
  const watch = await watchOf(`while ${said.join(' && ')}; do :; done`)
  expect(await keptBytes(FENCES, (i) => watch.passed(i % MARKS))).toBeLessThan(FENCES * 200)
  await watch.close()
})

test('that ends fails who waits, and everybody after', async () => {
  const watch = await watchOf('exit 0')
  const failed = { code: 'seal.failed' }
  await expect(watch.passed(FIRST_MARK)).rejects.toMatchObject(failed)
  await expect(watch.passed(FIRST_MARK)).rejects.toMatchObject(failed)
  await watch.close()
})
