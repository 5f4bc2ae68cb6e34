// scripts/setup on machines that lack something: it says what, and ends with 1. A machine is made to lack
// a thing by a mount, a lost capability or a command in front of the real one, for that one run only.
import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const run = promisify(execFile)
const SETUP = fileURLToPath(new URL('../scripts/setup', import.meta.url))
let front: string

beforeAll(async () => {
  front = await mkdtemp(join(tmpdir(), 'sealed-setup-'))
})
afterAll(() => rm(front, { recursive: true }))

interface Outcome {
  code: number
  text: string
}

/** Runs a command that ends in setup; commands written by `before` come first on its PATH. */
async function outcome(command: string, ...args: string[]): Promise<Outcome> {
  const env = { ...process.env, PATH: `${front}:${process.env.PATH}` }
  try {
    const { stdout, stderr } = await run(command, args, { env })
    return { code: 0, text: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, text: stdout + stderr }
  }
}

/** Setup in a mount namespace where each of these files is an empty one that cannot be run. */
const without = (files: string[], ...last: string[]) => {
  const mounts = files.map((file) => `mount --bind /dev/null ${file}`).join(' && ')
  return outcome('unshare', '-m', 'sh', '-c', `${mounts} && exec "$@"`, 'sh', ...last)
}

test('a machine that is ready is told so, in any POSIX shell, without a terminal', async () => {
  for (const what of ['demo', 'test'])
    expect(await outcome('sh', SETUP, what)).toEqual({
      code: 0,
      text: `setup: ready for ${what}\n`,
    })
  await run('dash', ['-n', SETUP])
})

test.each([[], ['bogus']])('usage is explained for %j', async (...args) => {
  const { code, text } = await outcome('sh', SETUP, ...args)
  expect({ code, text }).toEqual({
    code: 1,
    text: 'setup: usage: scripts/setup demo|test, or scripts/setup demo SCRIPT [ARGS]\n',
  })
})

test('another system is named', async () => {
  await writeFile(join(front, 'uname'), '#!/bin/sh\necho Darwin\n')
  await chmod(join(front, 'uname'), 0o755)
  const { code, text } = await outcome('sh', SETUP, 'demo')
  await rm(join(front, 'uname'))
  expect(code).toBe(1)
  expect(text).toMatch(/^setup: this is Darwin: sealing needs Linux/)
})

test('a missing package is installed by apt, and one that then is still missing is an error', async () => {
  await writeFile(join(front, 'apt-get'), '#!/bin/sh\necho "apt-get $*"\n')
  await chmod(join(front, 'apt-get'), 0o755)
  const { code, text } = await without(['/usr/bin/swtpm'], 'sh', SETUP, 'demo')
  await rm(join(front, 'apt-get'))
  expect(code).toBe(1)
  expect(text).toContain('apt-get install -q -y --no-install-recommends swtpm\n')
  expect(text).toContain('installed, but still not found on the PATH: swtpm')
})

test('without apt, or without root, the missing are named with how to get them', async () => {
  const files = ['/usr/bin/swtpm', '/usr/bin/tpm2']
  const bare = await without([...files, '/usr/bin/apt-get'], 'sh', SETUP, 'demo')
  expect(bare.code).toBe(1)
  expect(bare.text).toContain('missing here, by their Debian names: swtpm tpm2-tools.')
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  // The clone may lie where only root can read: the script stands in a folder that anybody can.
  const open = join(front, 'clone', 'scripts')
  await mkdir(open, { recursive: true })
  await copyFile(SETUP, join(open, 'setup'))
  await chmod(front, 0o755)
  const user = await without(files, ...nobody, 'sh', join(open, 'setup'), 'demo')
  expect(user.code).toBe(1)
  expect(user.text).toContain('sudo apt-get install swtpm tpm2-tools')
})

test('root without the right to set a firewall is an error, not a skip', async () => {
  const less = ['--bounding-set', '-net_admin', '--inh-caps', '-net_admin']
  const { code, text } = await outcome('setpriv', ...less, 'sh', SETUP, 'demo')
  expect(code).toBe(1)
  expect(text).toContain('nftables does not work here')
})

test('an engine that does not start is an error with its log', async () => {
  // A /run of its own hides the engine that answers; a broken configuration keeps a new one from starting.
  const script =
    'mount -t tmpfs none /run && mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && ' +
    'echo "{ broken" > /etc/docker/daemon.json && exec "$@"'
  const { code, text } = await outcome(
    'unshare',
    '-m',
    'sh',
    '-c',
    script,
    'sh',
    'sh',
    SETUP,
    'demo',
  )
  expect(code).toBe(1)
  expect(text).toContain('daemon.json')
  expect(text).toContain('setup: the Docker engine did not start')
})
