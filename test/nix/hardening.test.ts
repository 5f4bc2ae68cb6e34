// What the machine is hardened by: every entry says why, nothing is said twice, NixOS's profile is answered to the end,
// and what the seal, the engine and the embassy live on is not taken away with it.
//
// Mutants that turn this red: a reason emptied; `erofs` on the blacklist; `nft_masq` left out of the modules, or refused;
// an option of the profile struck out, or one whose `here` names nothing; `kexec_load_disabled` dropped; a console on the
// production line; /tmp without noexec.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { evaluate, NIX } from './support/nix.ts'

interface Entry {
  name?: string
  value?: string | number
  reason: string
  optional?: boolean
}
interface Hardening {
  kernelParams: Entry[]
  console: { production: Entry[]; debug: Entry[] }
  sysctl: Record<string, Entry>
  modules: { load: Entry[]; refuse: Entry[]; blacklist: Entry[] }
  mounts: Record<string, { type: string; options: string[]; reason: string }>
  manager: Record<string, Entry>
  journal: Record<string, Entry>
}
type Profile = Record<string, { taken: 'yes' | 'no' | 'other'; here?: string[]; reason: string }>

let hardening: Hardening
let profile: Profile

beforeAll(async () => {
  hardening = await evaluate(`import ${NIX}/hardening.nix`)
  profile = await evaluate(`import ${NIX}/hardened-profile.nix`)
})

const load = () => hardening.modules.load.map(({ name }) => name!)
const refuse = () => hardening.modules.refuse.map(({ name }) => name!)
const blacklist = () => hardening.modules.blacklist.map(({ name }) => name!)
const params = () => hardening.kernelParams.map(({ value }) => String(value))

/** Every object below `value` that is an entry, with where it stands. */
function entriesOf(value: unknown, path: string): [string, Record<string, unknown>][] {
  if (typeof value !== 'object' || value === null) return []
  const here = value as Record<string, unknown>
  const entry = ['value', 'name', 'options', 'taken'].some(
    (member) => ['string', 'number'].includes(typeof here[member]) || Array.isArray(here[member]),
  )
  if (entry) return [[path, here]]
  return Object.entries(here).flatMap(([name, below]) => entriesOf(below, `${path}/${name}`))
}

test('every entry gives a reason', () => {
  const entries = [...entriesOf(hardening, 'hardening'), ...entriesOf(profile, 'profile')]
  expect(entries.length).toBeGreaterThan(200)
  const mute = entries.filter(([, { reason }]) => typeof reason !== 'string' || reason.length < 5)
  expect(mute.map(([path]) => path)).toEqual([])
})

test('every kernel parameter and module is said once', () => {
  const names = [...hardening.kernelParams, ...hardening.console.production].map(
    ({ value }) => String(value).split('=')[0]!,
  )
  expect(names).toEqual([...new Set(names)])
  const modules = [...load(), ...refuse(), ...blacklist()]
  expect(modules).toEqual([...new Set(modules)])
})

describe("NixOS's profile", () => {
  test('what is taken stands where it is said to', () => {
    const all = [...params(), ...Object.keys(hardening.sysctl), ...refuse(), ...blacklist()]
    const missing = Object.values(profile)
      .flatMap(({ here }) => here ?? [])
      .filter(
        (name) =>
          !all.some((entry) => entry === name || (/=$/.test(name) && entry.startsWith(name))),
      )
    expect(missing).toEqual([])
    for (const [option, { taken, here }] of Object.entries(profile))
      expect(taken === 'no' || (here ?? []).length > 0, option).toBe(true)
  })

  test('each of its options is answered', () => {
    // The options that the profile sets, as of NixOS 25.05.
    const options = [
      ...[
        'boot.kernelPackages',
        'nix.settings.allowed-users',
        'environment.memoryAllocator.provider',
      ],
      ...['environment.variables.SCUDO_OPTIONS', 'security.lockKernelModules'],
      ...['security.protectKernelImage', 'security.allowSimultaneousMultithreading'],
      ...['security.forcePageTableIsolation', 'security.unprivilegedUsernsClone'],
      ...['security.virtualisation.flushL1DataCache', 'security.apparmor.enable'],
      ...['security.apparmor.killUnconfinedConfinables', 'boot.kernelParams slab_nomerge'],
      ...['boot.kernelParams page_poison=1', 'boot.kernelParams page_alloc.shuffle=1'],
      ...['boot.kernelParams debugfs=off', 'boot.blacklistedKernelModules', 'kernel.kptr_restrict'],
      ...['net.core.bpf_jit_enable', 'kernel.ftrace_enabled', 'net.ipv4.conf.*.log_martians'],
      ...['net.ipv4.conf.*.rp_filter', 'net.ipv4.icmp_echo_ignore_broadcasts'],
      ...['net.*.conf.*.accept_redirects', 'net.ipv4.conf.*.send_redirects'],
    ]
    const answered = Object.keys(profile)
    expect(options.filter((option) => !answered.some((key) => key.startsWith(option)))).toEqual([])
  })
})

describe('what must hold', () => {
  test.each([
    'lockdown=confidentiality',
    'module.sig_enforce=1',
    'nohibernate',
    'systemd.swap=0',
    'systemd.gpt_auto=0',
    'systemd.import_credentials=no',
    'random.trust_bootloader=off',
  ])('the command line has %s', (param) => {
    expect(params()).toContain(param)
  })

  test.each([
    ['kernel.kexec_load_disabled', 1],
    ['kernel.unprivileged_bpf_disabled', 1],
    ['kernel.core_pattern', '/dev/null'],
    ['fs.suid_dumpable', 0],
    ['user.max_user_namespaces', 0],
    ['net.ipv4.ip_local_port_range', '32768 60999'],
  ])('%s is %s', (name, value) => {
    expect(hardening.sysctl[name]?.value).toBe(value)
  })

  test('no core is dumped and no swap is made', () => {
    expect(hardening.manager.DefaultLimitCORE?.value).toBe('0')
    expect(refuse()).toContain('zram')
  })

  test('production writes to no serial port', () => {
    const production = hardening.console.production.map(({ value }) => value)
    expect(production).toContain('8250.nr_uarts=0')
    expect(
      [...params(), ...production].filter((param) =>
        /ttyS|earlycon|earlyprintk/.test(String(param)),
      ),
    ).toEqual([])
  })

  test('nothing that can be written to on this machine can be started, but the state', () => {
    for (const [path, { type, options }] of Object.entries(hardening.mounts)) {
      if (type === 'tmpfs')
        expect(options, path).toEqual(expect.arrayContaining(['noexec', 'nosuid', 'nodev']))
      else if (path === '/') expect(options).toEqual(['ro'])
      else expect(options, path).toEqual(expect.arrayContaining(['nosuid', 'nodev']))
    }
  })
})

describe('what is needed stays', () => {
  test('modules that the seal, the engine and the root need are loaded, by all machines', () => {
    const required = hardening.modules.load
      .filter(({ optional }) => !optional)
      .map(({ name }) => name)
    for (const name of [
      'nf_tables',
      'nft_ct',
      'nft_reject_inet',
      'nft_chain_nat',
      'nft_masq',
      'veth',
      'overlay',
    ])
      expect(required).toContain(name)
    for (const name of ['erofs', 'dm_verity', 'dm_crypt', 'tsm', 'configfs'])
      expect(required).toContain(name)
  })

  test('reports of processors are asked for where there are such, and no boot fails elsewhere', () => {
    const optional = hardening.modules.load
      .filter(({ optional }) => optional)
      .map(({ name }) => name)
    expect(optional).toEqual(expect.arrayContaining(['sev_guest', 'tdx_guest']))
  })

  test('the ports of the relay lie outside those that the kernel gives away', async () => {
    const source = await readFile(
      fileURLToPath(new URL('../../embassy/src/machine.ts', import.meta.url)),
      'utf8',
    )
    const [, first] = /RELAY_PORTS = \[([\d_]+), /.exec(source)!
    const [, last] = String(hardening.sysctl['net.ipv4.ip_local_port_range']?.value).split(' ')
    expect(Number(last)).toBeLessThan(Number(first!.replace('_', '')))
  })
})
