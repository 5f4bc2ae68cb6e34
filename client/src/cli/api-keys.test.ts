// Mutants: `parseApiKeys(text)` before writing dropped; `wx` made `w`; the check of the name dropped; revoking that
// deletes; chmod and chown dropped.
import { chmod, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { parseApiKeys, sha256Hex, utf8 } from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { NOW } from '../test-support/machine-double.ts'

const DIGEST = 'ab'.repeat(32)
let cli: Cli
beforeEach(async () => {
  cli = await createCli()
  await deploy({ api_keys: cli.path('keys.json') })
})
afterEach(() => cli.remove())

const deploy = (more: object) =>
  writeFile(
    cli.path('sealed.json'),
    JSON.stringify({
      authorities: [],
      gateway: { host: '127.0.0.1', port: 0, tls: { mode: 'off' } },
      id: 'abcd',
      metering: 'optional',
      pause: { archive: 'pause.tar', image: DIGEST },
      probes: { interval_ms: 60_000, targets: [] },
      runtime_dir: '/run/x',
      state_dir: '/var/x',
      tpm: { chain: 'chain.pem', path: '/dev/tpmrm0' },
      version: 1,
      workloads: [{ archive: 'w.tar', file: 'workload.json', replicas: 1 }],
      ...more,
    }),
  )
const key = (...argv: string[]) => cli.run(['key', ...argv, '--config', cli.path('sealed.json')])
const kept = async () => parseApiKeys(await readFile(cli.path('keys.json'))).keys

describe('sealed key create', () => {
  it('shows the key once, on stdout, and keeps its digest for the gateway to read', async () => {
    const { err, exit, out } = await key('create', 'laptop')
    expect(exit).toBe(0)
    expect(out).toMatch(/^sk-sealed-[A-Za-z0-9_-]{43}\n$/)
    const text = out.trim()
    expect(err).not.toContain(text)
    const [entry, ...others] = await kept()
    expect(others).toEqual([])
    expect(entry).toMatchObject({ digest: await sha256Hex(utf8(text)), name: 'laptop' })
    expect(entry!.created_ms).toBe(NOW)
    expect(await readFile(cli.path('keys.json'), 'utf8')).not.toContain(text)
    expect((await stat(cli.path('keys.json'))).mode & 0o777).toBe(0o644)
    expect(await readdir(cli.path('.'))).not.toContain('keys.json.part')
  })

  it('keeps what was there, and limits of the key’s own', async () => {
    await key('create', 'a')
    await chmod(cli.path('keys.json'), 0o640)
    const argv = ['--requests-per-minute', '60', '--concurrent-requests', '2', '--json']
    const json = JSON.parse((await key('create', 'b', ...argv)).out)
    expect(json.entry).toMatchObject({ requests_per_minute: 60, concurrent_requests: 2 })
    expect(json.entry.digest).toBe(await sha256Hex(utf8(json.api_key)))
    expect((await kept()).map(({ name }) => name)).toEqual(['a', 'b'])
    expect((await stat(cli.path('keys.json'))).mode & 0o777).toBe(0o640)
  })

  it('writes through a link', async () => {
    await symlink(cli.path('real.json'), cli.path('keys.json'))
    await writeFile(cli.path('real.json'), '{"keys":[],"version":1}')
    expect((await key('create', 'a')).exit).toBe(0)
    expect(parseApiKeys(await readFile(cli.path('real.json'))).keys).toHaveLength(1)
  })

  it('gives no name twice, also not that of a revoked key', async () => {
    await key('create', 'a')
    const before = await readFile(cli.path('keys.json'), 'utf8')
    const again = await key('create', 'a')
    expect([again.exit, again.out]).toEqual([2, ''])
    expect(await readFile(cli.path('keys.json'), 'utf8')).toBe(before)
    await key('revoke', 'a')
    const later = await key('create', 'a')
    expect([later.exit, later.err]).toEqual([2, expect.stringContaining('was revoked')])
    expect(await kept()).toHaveLength(1)
  })

  it.each([['Not a name'], ['a:b'], ['']])('refuses the name %j', async (name) => {
    expect((await key('create', name)).exit).toBe(2)
    expect(await readdir(cli.path('.'))).not.toContain('keys.json')
  })

  it('puts nothing there that the gateway would refuse', async () => {
    const many = await key('create', 'a', '--requests-per-minute', '2000000')
    expect(many.exit).not.toBe(0)
    expect(many.out).toBe('')
    expect(await readdir(cli.path('.'))).not.toContain('keys.json')
    await writeFile(cli.path('keys.json'), '{"keys":[]}')
    expect((await key('create', 'a')).exit).not.toBe(0)
    expect(await readFile(cli.path('keys.json'), 'utf8')).toBe('{"keys":[]}')
  })

  it('leaves an edit that is under way alone', async () => {
    await key('create', 'a')
    await writeFile(cli.path('keys.json.part'), 'another')
    const { err, exit, out } = await key('create', 'b')
    expect([exit, out]).toEqual([1, ''])
    expect(err).toContain('keys.json.part')
    expect(await readFile(cli.path('keys.json.part'), 'utf8')).toBe('another')
  })

  it('makes each of many keys at once or says that it did not', async () => {
    const made = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => key('create', name)))
    const count = made.filter(({ exit }) => exit === 0).length
    expect(count).toBeGreaterThan(0)
    expect(await kept()).toHaveLength(count)
  })

  it('says what to do where a deployment asks for no keys, or is not there', async () => {
    await deploy({})
    const none = await key('create', 'a')
    expect([none.exit, none.err]).toEqual([2, expect.stringContaining('"api_keys"')])
    const missing = await cli.run(['key', 'list', '--config', cli.path('other.json')])
    expect([missing.exit, missing.err]).toEqual([2, expect.stringContaining('--config')])
  })
})

describe('sealed key list', () => {
  it('names keys, their days and limits, and shows no digest', async () => {
    const empty = await key('list')
    expect([empty.exit, empty.out]).toEqual([0, ''])
    expect(empty.err).toContain('nobody is admitted')
    await key('create', 'a', '--requests-per-minute', '60')
    await key('create', 'b')
    await key('revoke', 'b')
    const { exit, out } = await key('list')
    expect(exit).toBe(0)
    expect(out).toMatch(
      /^a +created \d{4}-\d\d-\d\d {2}60 a minute\nb +created .* {2}revoked .*\n$/,
    )
    expect(out).not.toContain((await kept())[0]!.digest)
    const json = JSON.parse((await key('list', '--json')).out)
    expect(json.keys.map(({ name }: { name: string }) => name)).toEqual(['a', 'b'])
  })
})

describe('sealed key revoke', () => {
  it('marks the key and keeps its name and day', async () => {
    await key('create', 'a')
    await key('create', 'b')
    const before = await kept()
    expect((await key('revoke', 'a')).exit).toBe(0)
    const [a, b] = await kept()
    expect(a).toEqual({ ...before[0], revoked_ms: expect.any(Number) })
    expect(b).toEqual(before[1])
    expect((await key('revoke', 'a')).exit).toBe(2)
    expect((await key('revoke', 'c')).exit).toBe(2)
  })
})
