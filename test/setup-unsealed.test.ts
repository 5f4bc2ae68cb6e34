// What scripts/setup does before it runs a script: where this machine lacks the means to seal it goes on without and tells
// the script so; where they are there and one does not work it stops; and where they work nothing is gone on without.
//
// Mutants that turn this red: `cannot_seal` in the place of `fail` in check_firewall, check_tpm or start_engine; has_rights
// that looks at no capability, or at no user namespace; a setup that leaves out `--unsealed`, or gives it always; one that
// takes a script for tests too.
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

const run = promisify(execFile)
const SETUP = fileURLToPath(new URL('../scripts/setup', import.meta.url))
const READY = 'setup: ready for demo\n'
let front: string
let script: string
let written: string[] = []

beforeAll(async () => {
  front = await mkdtemp(join(tmpdir(), 'sealed-setup-'))
  script = join(front, 'script.mjs')
  await writeFile(script, "console.log('ran', JSON.stringify(process.argv.slice(2)))\n")
})
afterEach(async () => {
  for (const name of written) await rm(join(front, name))
  written = []
})
afterAll(() => rm(front, { recursive: true }))

/** A command that comes first on the PATH. */
async function inFront(name: string, body: string): Promise<void> {
  written.push(name)
  await writeFile(join(front, name), `#!/bin/sh\n${body}\n`)
  await chmod(join(front, name), 0o755)
}

/** What setup prints and ends with; `prefix` are words of a command that it is run by. */
async function setup(args: string[], prefix: string[] = []) {
  const [command, ...rest] = [...prefix, 'sh', SETUP, ...args] as [string, ...string[]]
  const env = { ...process.env, PATH: `${front}:${process.env.PATH}` }
  try {
    const { stdout, stderr } = await run(command, rest, { env })
    return { code: 0, text: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, text: stdout + stderr }
  }
}
const demo = (prefix?: string[]) => setup(['demo', script, '--some', 'two words'], prefix)
const ran = (...more: string[]) => `ran ${JSON.stringify(['--some', 'two words', ...more])}\n`

test('where this machine seals, the script is run with its own arguments alone', async () => {
  expect(await demo()).toEqual({ code: 0, text: READY + ran() })
})

test('another system', async () => {
  await inFront('uname', 'echo Darwin')
  const { code, text } = await demo()
  expect(code).toBe(0)
  expect(text).toMatch(/^setup: this is Darwin: sealing needs Linux/)
  expect(text.endsWith(ran('--unsealed', 'system'))).toBe(true)
})

test.each([
  ['root without CAP_NET_ADMIN', ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']],
  ['root without CAP_SYS_ADMIN', ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin']],
  ['root of a user namespace of its own', ['unshare', '--user', '--map-root-user']],
])('%s', async (_, prefix) => {
  const { code, text } = await demo(prefix)
  expect(code).toBe(0)
  expect(text).toContain('root here may not do')
  expect(text.endsWith(ran('--unsealed', 'privileges'))).toBe(true)
})

test('software that is missing, and no way to install it', async () => {
  const files = ['/usr/bin/swtpm', '/usr/bin/apt-get']
  const mounts = files.map((file) => `mount --bind /dev/null ${file}`).join(' && ')
  const { code, text } = await demo(['unshare', '-m', 'sh', '-c', `${mounts} && exec "$@"`, 'sh'])
  expect(code).toBe(0)
  expect(text).toContain('missing here, by their Debian names: swtpm.')
  expect(text.endsWith(ran('--unsealed', 'software'))).toBe(true)
})

test.each([
  ['a firewall', 'nft', 'exit 1', 'nftables does not work here'],
  ['a software TPM', 'swtpm', 'exit 1', 'the software TPM does not run here'],
])(
  '%s that is there and does not work is an error, and nothing runs',
  async (_, name, body, why) => {
    await inFront(name, body)
    const { code, text } = await demo()
    expect(code).toBe(1)
    expect(text).toContain(why)
    expect(text).not.toContain('ran ')
  },
)

test('packages that cannot be installed are an error where there is apt', async () => {
  await inFront('apt-get', 'exit 1')
  const hide = 'mount --bind /dev/null /usr/bin/swtpm && exec "$@"'
  const { code, text } = await demo(['unshare', '-m', 'sh', '-c', hide, 'sh'])
  expect(code).toBe(1)
  expect(text).toContain('apt-get update failed')
  expect(text).not.toContain('ran ')
})

test('for tests nothing is gone on without, and no script is run', async () => {
  const less = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
  expect((await setup(['test'], less)).code).toBe(1)
  const { code, text } = await setup(['test', script])
  expect({ code, usage: text.includes('setup: usage: ') }).toEqual({ code: 1, usage: true })
})

test('without a script what is lacking is an error, as for the benchmarks', async () => {
  const less = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
  const { code, text } = await setup(['demo'], less)
  expect(code).toBe(1)
  expect(text).toContain('nftables does not work here')
})
