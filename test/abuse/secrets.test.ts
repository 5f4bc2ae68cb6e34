// Where secrets could lie open: arguments and environment of every process, and files that others than root may read.
import { lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createApiKey } from '@sealed/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { childOf } from '../../bench/support/cpu.ts'
import type { Instance } from '../../scripts/up.ts'
import { CHAT, readReply, upAside } from '../support/instance.ts'

let instance: Instance
let apiKey: string
beforeAll(async () => {
  const made = await createApiKey('key-0')
  apiKey = made.apiKey
  instance = await upAside({ workload: 'noop', apiKeys: [made.entry] })
  const answer = await fetch(instance.url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
    body: JSON.stringify({ model: 'noop', messages: [] }),
  })
  expect((await readReply(answer)).status).toBe(200)
})
afterAll(() => instance?.stop())

/** What only its owner may know, in the spellings in which it could be written down. */
const SECRET = /PRIVATE KEY|"d":|"k":/

test('no secret is in the arguments or the environment of a process', async () => {
  const embassy = instance.embassy.pid!
  for (const pid of [instance.gateway.pid!, embassy, childOf(embassy, 'relay/main.ts')])
    for (const file of ['cmdline', 'environ']) {
      const text = await readFile(`/proc/${pid}/${file}`, 'utf8')
      expect(text.length).toBeGreaterThan(0)
      expect(text).not.toMatch(SECRET)
      expect(text).not.toContain(apiKey)
    }
})

test('no secret is in a file that another user may read', async () => {
  const { logs, runtime, state } = instance.paths
  const found = await secretFiles([logs, runtime, state])
  expect(found.length).toBeGreaterThan(0) // the boot's keys are there, so that the search finds what there is
  for (const { path, open } of found) expect([path, open]).toEqual([path, false])
})

interface SecretFile {
  path: string
  /** Whether others may read it: the file itself, and every folder above it up to where the search began. */
  open: boolean
}

async function secretFiles(folders: string[], reachable = true): Promise<SecretFile[]> {
  const found: SecretFile[] = []
  for (const folder of folders) {
    const { mode } = await lstat(folder)
    const open = reachable && (mode & 0o011) !== 0
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      const entry = await lstat(path)
      if (entry.isDirectory()) found.push(...(await secretFiles([path], open)))
      if (!entry.isFile() || entry.size > 4_000_000) continue
      const text = (await readFile(path)).toString('latin1')
      if (SECRET.test(text) || text.includes(apiKey))
        found.push({ path, open: open && (entry.mode & 0o044) !== 0 })
    }
  }
  return found
}
