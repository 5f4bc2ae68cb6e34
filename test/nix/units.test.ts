// The units as the image has them: systemd takes every line of them, no less is forbidden than nix/README.md states, and
// what they name is what the processes expect.
//
// Mutants that turn this red: a directive misspelt; a directive of the embassy's or the gateway's sandbox dropped (any of
// them raises its score), or a capability added that none of them takes away; a member of `leftOut` struck out; the gateway
// as root; a dependency on a unit that is nowhere; the size of the activations mount, or its owner, changed on either side;
// the engine with a bridge, or a log; modules locked after the engine starts; `mount` for the embassy; disks that the
// weights' service may write to, a mount namespace of its own for it, or an embassy that does not wait for it.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MAX_FILE_BYTES } from '../../embassy/src/activations/sweep.ts'
import { GATEWAY_GID } from '../../embassy/src/embassy.ts'
import { RELAY_UID } from '../../embassy/src/machine.ts'
import { WORKLOAD_UID } from '../../embassy/src/replicas/activations-mount.ts'
import { GATEWAY_USER } from '../../gateway/src/node/privileges.ts'
import { evaluate, NIX } from './support/nix.ts'

interface Units {
  files: Record<string, string>
  links: Record<string, string>
  production: string
  debug: string
  users: Record<string, number>
  leftOut: Record<string, Record<string, string>>
}
interface Judgement {
  json_field: string | null
  name: string
  set: boolean | null
  exposure: string | null
}

const run = promisify(execFile)
const SYSTEM = '/usr/lib/systemd/system'
let units: Units
let directory: string

beforeAll(async () => {
  units = await evaluate(`
    let
      services = import ${NIX}/services.nix { };
      units = import ${NIX}/units.nix services;
    in
    {
      inherit (units) files links;
      inherit (services) users;
      inherit (import ${NIX}/sandbox.nix) leftOut;
      production = units.kernelParams "production";
      debug = units.kernelParams "debug";
    }`)
  directory = await mkdtemp(join(tmpdir(), 'sealed-units-'))
  for (const [path, text] of Object.entries(units.files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true })
    await writeFile(join(directory, path), text)
  }
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const unit = (name: string) => units.files[`${SYSTEM}/${name}`]!
const values = (name: string, key: string) =>
  unit(name)
    .split('\n')
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1))
const words = (name: string, key: string) => values(name, key).join(' ').split(' ')

test('systemd takes every line', async () => {
  const names = Object.keys(units.files).filter((path) => path.startsWith(`${SYSTEM}/`))
  expect(names.length).toBeGreaterThan(20)
  const { stderr } = await run(
    'systemd-analyze',
    ['--man=no', 'verify', ...names.map((path) => join(directory, path))],
    { env: { ...process.env, SYSTEMD_UNIT_PATH: `${join(directory, SYSTEM)}:` } },
  ).catch((error: { stderr: string }) => error)
  // What the image has and this machine may not: programs.
  const said = stderr.split('\n').filter((line) => line && !/ is not executable: /.test(line))
  expect(said).toEqual([])
})

test('the same text each time, and one that ends as files do', async () => {
  const again = await evaluate<Record<string, string>>(
    `(import ${NIX}/units.nix (import ${NIX}/services.nix { })).files`,
  )
  expect(again).toEqual(units.files)
  for (const [path, text] of Object.entries(units.files)) expect(text, path).toMatch(/[^\n]\n$/)
})

test('the two command lines differ by the console alone', () => {
  const without = (line: string) =>
    line
      .split(' ')
      .filter((word) => !/^(console=|8250|quiet|systemd\.(show_status|journald))/.test(word))
  expect(without(units.debug)).toEqual(without(units.production))
  expect(units.debug).toContain('console=ttyS0')
  expect(units.production).not.toContain('ttyS0')
})

describe('sandboxes', () => {
  const judged = async (name: string) => {
    const file = join(directory, SYSTEM, `${name}.service`)
    const { stdout } = await run('systemd-analyze', [
      'security',
      '--offline=true',
      '--json=short',
      file,
    ])
    const { stdout: text } = await run('systemd-analyze', [
      'security',
      '--offline=true',
      '--no-pager',
      file,
    ])
    const score = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1])
    return { score, judgements: JSON.parse(stdout) as Judgement[] }
  }
  const stated = async (name: string) => {
    const readme = await readFile(`${NIX}/README.md`, 'utf8')
    return Number(new RegExp(`\\| \`${name}\` \\| ([\\d.]+) \\|`).exec(readme)?.[1])
  }

  test.each([
    'sealed-embassy',
    'sealed-gateway',
    'sealed-tls-key',
    'sealed-provision',
    'sealed-weights',
  ])('the score of %s is no higher than the stated one', async (name) => {
    const { score } = await judged(name)
    expect(score).toBeGreaterThan(0)
    expect(score).toBeLessThanOrEqual(await stated(name))
  })

  test.each(['embassy', 'gateway'])(
    'each thing that the %s may do has its reason',
    async (name) => {
      const { judgements } = await judged(`sealed-${name}`)
      const open = judgements.filter(({ exposure }) => exposure !== null)
      const reasons = Object.keys(units.leftOut[name]!)
      expect(open.map(({ name }) => name).filter((name) => !reasons.includes(name))).toEqual([])
    },
  )

  test('only the embassy may change the network, and the gateway has one right', () => {
    expect(words('sealed-gateway.service', 'CapabilityBoundingSet')).toEqual([
      'CAP_NET_BIND_SERVICE',
    ])
    expect(values('sealed-gateway.service', 'User')).toEqual(['sealed-gateway'])
    expect(words('sealed-tls-key.service', 'CapabilityBoundingSet')).toEqual([''])
    expect(words('sealed-provision.service', 'CapabilityBoundingSet')).not.toContain(
      'CAP_NET_ADMIN',
    )
    expect(words('sealed-embassy.service', 'SystemCallFilter')).not.toContain('@mount')
  })
})

describe('what the processes expect', () => {
  test('users', () => {
    expect(units.users).toEqual({
      'sealed-gateway': GATEWAY_USER,
      'sealed-relay': RELAY_UID,
      'sealed-workload': WORKLOAD_UID,
    })
    expect(GATEWAY_GID).toBe(GATEWAY_USER)
  })

  test('activations are mounted as the embassy would mount them', () => {
    const [options] = values('run-sealed-5ea1-activations-0.mount', 'Options')
    const size = MAX_FILE_BYTES + 1024 * 1024
    expect(options).toBe(
      `size=${size},nr_inodes=256,mode=0700,uid=${WORKLOAD_UID},gid=${WORKLOAD_UID},nosuid,nodev,noexec`,
    )
    const mounts = words('sealed-embassy.service', 'RequiresMountsFor')
    expect(mounts).toHaveLength(17)
    expect(mounts).toContain('/run/sealed/5ea1/activations/15')
  })

  test('weights are opened before the embassy, where the engine sees them, by what writes to no disk', () => {
    const name = 'sealed-weights.service'
    expect(values(name, 'DeviceAllow')).toEqual(['/dev/mapper/control rw', 'block-* r'])
    expect(values(name, 'DevicePolicy')).toEqual(['closed'])
    // Each of them would make it a mount namespace of its own.
    for (const key of ['PrivateMounts', 'PrivateNetwork', 'PrivateTmp', 'ProtectSystem'])
      expect(values(name, key), key).toEqual([])
    for (const key of ['Requires', 'After']) {
      expect(words('sealed-embassy.service', key)).toContain(name)
      // The launch is measured before a volume of its choosing is read.
      expect(words(name, key)).toContain('sealed-provision.service')
    }
  })

  test('modules are locked by the last step of their unit, before the engine starts', () => {
    const steps = values('sealed-modules-lock.service', 'ExecStart')
    expect(steps.at(-1)).toBe('/usr/lib/systemd/systemd-sysctl /usr/lib/sealed/modules-lock.conf')
    expect(units.files['/usr/lib/sealed/modules-lock.conf']).toBe('kernel.modules_disabled = 1\n')
    for (const name of ['docker', 'sealed-provision', 'sealed-embassy'])
      for (const key of ['Requires', 'After'])
        expect(words(`${name}.service`, key)).toContain('sealed-modules-lock.service')
    // A driver of another machine may fail, nothing else.
    const [tolerated, ...more] = steps.filter((step) => step.startsWith('-'))
    expect(more).toEqual([])
    expect(tolerated?.split(' ').slice(4)).toEqual(['aesni_intel', 'sev_guest', 'tdx_guest'])
  })

  test('the engine has no network and writes no log', () => {
    const [start] = values('docker.service', 'ExecStart')
    for (const flag of [
      '--bridge=none',
      '--iptables=false',
      '--ip6tables=false',
      '--log-driver=none',
    ])
      expect(start!.split(' ')).toContain(flag)
    expect(start).toContain('--data-root=/var/lib/sealed/docker')
    expect(start).not.toContain('tcp://')
  })

  test('the gateway waits for the socket of the embassy', () => {
    expect(values('sealed-gateway.path', 'PathExists')).toEqual([
      '/run/sealed/5ea1/embassy/gateway.sock',
    ])
    expect(Object.keys(units.links).sort()).toEqual([
      `${SYSTEM}/multi-user.target.wants/sealed-embassy.service`,
      `${SYSTEM}/multi-user.target.wants/sealed-gateway.path`,
      `${SYSTEM}/multi-user.target.wants/sealed-power.service`,
    ])
  })

  test('every unit of ours that is named is there', () => {
    for (const path of Object.keys(units.files).filter((path) => path.endsWith('.service')))
      for (const key of ['Requires', 'Wants', 'After', 'Before'])
        for (const name of words(path.slice(SYSTEM.length + 1), key))
          if (/^(sealed|docker)/.test(name)) expect(unit(name), `${path} ${key}`).toBeDefined()
  })

  test('a value that would need quotes is refused, not written', async () => {
    await expect(
      evaluate(`(import ${NIX}/units.nix (import ${NIX}/services.nix { path = "/a b"; })).files`),
    ).rejects.toThrow('would need quotes')
  })
})
