// The NixOS module, evaluated with stubs of the options that it sets. nixpkgs' own `lib.evalModules` can be had neither
// from Debian nor from npm; evaluate-modules.nix stands in for it. By hand the module and these stubs were evaluated with
// nixpkgs' lib (of May 2026) too: the same value to the last byte.
//
// Mutants that turn this red: an option misspelt in nixos.nix (`boot.kernelParam`, `systemd.pathes`), a member of a service
// (`wantedby`), a list where a string is wanted; a configuration that is there without `enable`; a service, a setting or a
// console of another set than the image's; an evaluator that lets unknown options pass, or looks at no type.
import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { evaluate, NIX, TEST_NIX } from './support/nix.ts'

interface Config {
  boot: {
    kernelParams: string[]
    blacklistedKernelModules: string[]
    kernel: { sysctl: Record<string, string | number> }
  }
  environment: { etc: Record<string, { text: string }> }
  services: { journald: { extraConfig: string } }
  swapDevices: unknown[]
  systemd: {
    coredump: { enable: boolean }
    services: Record<
      string,
      {
        wantedBy: string[]
        environment: Record<string, string>
        serviceConfig: Record<string, unknown>
      }
    >
    mounts: { where: string }[]
    paths: Record<string, { pathConfig: { PathExists: string } }>
    network: { networks: Record<string, unknown> }
  }
  users: { users: Record<string, { uid: number }>; groups: Record<string, { gid: number }> }
}

const PACKAGES = 'kmod nodejs_24 docker nftables iproute2 util-linux coreutils cryptsetup e2fsprogs'

/** The configuration of a machine that has the module, the stubs and these settings. */
const configured = (settings: string): Promise<Config> =>
  evaluate(`
    let
      evaluator = import ${TEST_NIX}/evaluate-modules.nix;
      inherit (evaluator) lib;
      pkgs = builtins.listToAttrs (map (name: { inherit name; value = "/nix/store/\${name}"; })
        (builtins.filter builtins.isString (builtins.split " " "${PACKAGES}")));
    in
    (evaluator.evalModules {
      specialArgs = { inherit pkgs; };
      modules = [ ${NIX}/nixos.nix ${TEST_NIX}/stub-options.nix (${settings}) ];
    }).config`)

const ON = 'services.sealed.enable = true; services.sealed.package = "/nix/store/sealed";'

let config: Config
beforeAll(async () => {
  config = await configured(`{ ${ON} swapDevices = [ { device = "/dev/sda"; } ]; }`)
})

describe('switched on', () => {
  test('it has the services of the image, with paths of its own', async () => {
    const image = await evaluate<Record<string, unknown>>(
      `(import ${NIX}/services.nix { }).services`,
    )
    // The power button is logind's there.
    const names = Object.keys(image).filter((name) => name !== 'sealed-power')
    expect(Object.keys(config.systemd.services)).toEqual(names)
    const { serviceConfig, environment, wantedBy } = config.systemd.services['sealed-embassy']!
    expect(serviceConfig.ExecStart).toBe(
      '/nix/store/nodejs_24/bin/node --v8-pool-size=1 --no-parallel-scavenge --no-concurrent-array-buffer-sweeping --min-semi-space-size=16 /nix/store/sealed/lib/sealed/embassy/main.js --config /run/sealed-config/sealed.json',
    )
    expect(environment.PATH).toContain('/nix/store/nftables/bin:')
    expect(wantedBy).toEqual(['multi-user.target'])
  })

  test('its sandboxes are those of the image', async () => {
    const image = await evaluate<Record<string, { serviceConfig: Record<string, unknown> }>>(
      `(import ${NIX}/services.nix { }).services`,
    )
    for (const name of ['sealed-embassy', 'sealed-gateway']) {
      const { ExecStart: _own, ...own } = config.systemd.services[name]!.serviceConfig
      const { ExecStart: _theirs, ...theirs } = image[name]!.serviceConfig
      expect(own).toEqual(theirs)
    }
  })

  test('it has the settings, modules and command line of the image', async () => {
    const hardening = await evaluate<{
      kernelParams: { value: string }[]
      console: { production: { value: string }[] }
      sysctl: Record<string, { value: string | number }>
    }>(`import ${NIX}/hardening.nix`)
    expect(config.boot.kernelParams).toEqual(
      [...hardening.kernelParams, ...hardening.console.production].map(({ value }) => value),
    )
    const settings = Object.entries(hardening.sysctl).map(([name, { value }]) => [name, value])
    expect(config.boot.kernel.sysctl).toEqual(Object.fromEntries(settings))
    expect(config.boot.blacklistedKernelModules).toEqual(expect.arrayContaining(['ax25', 'vsock']))
  })

  test('there is no swap and no dump, whatever else the machine says', () => {
    expect(config.swapDevices).toEqual([])
    expect(config.systemd.coredump.enable).toBe(false)
  })

  test('users have the numbers that the processes know', () => {
    expect(config.users.users['sealed-gateway']?.uid).toBe(64101)
    expect(config.users.groups['sealed-relay']?.gid).toBe(64103)
  })

  test('an id and a number of replicas are where they matter', async () => {
    const other = await configured(
      `{ ${ON} services.sealed.id = "0a1b"; services.sealed.replicas = 2; }`,
    )
    expect(other.systemd.paths['sealed-gateway']?.pathConfig.PathExists).toBe(
      '/run/sealed/0a1b/embassy/gateway.sock',
    )
    expect(other.systemd.mounts.map(({ where }) => where)).toEqual([
      '/run/sealed/0a1b',
      '/run/sealed/0a1b/activations/0',
      '/run/sealed/0a1b/activations/1',
    ])
  })
})

test('switched off, it changes nothing', async () => {
  const off = await configured('{ services.sealed.package = "/nix/store/sealed"; }')
  expect(off.systemd.services).toEqual({})
  expect(off.boot.kernelParams).toEqual([])
})

test('it says that it is not the image that is measured', async () => {
  const head = (await readFile(`${NIX}/nixos.nix`, 'utf8')).split('\n').slice(0, 5).join('\n')
  expect(head).toContain('IT IS NOT THE IMAGE THAT IS MEASURED')
})

describe('what is wrong is refused', () => {
  test.each([
    ['an option that does not exist', 'services.sealed.replica = 2;', 'services.sealed.replica'],
    ['one of NixOS that does not exist', 'boot.kernelParam = [ ];', 'boot.kernelParam'],
    ['a member of a service that does not exist', 'systemd.services.x.wantedby = [ ];', 'wantedby'],
    ['a number that is none', 'services.sealed.replicas = "2";', 'positive integer'],
    ['no replica', 'services.sealed.replicas = 0;', 'positive integer'],
    ['an id that is none', 'services.sealed.id = "sealed";', 'services.sealed.id'],
    ['another uid for one of ours', 'users.users.sealed-gateway.uid = 1;', 'conflicting'],
    ['another lockdown', 'boot.kernel.sysctl."kernel.sysrq" = 1;', 'conflicting'],
  ])('%s', async (_what, setting, message) => {
    await expect(configured(`{ ${ON} ${setting} }`)).rejects.toThrow(message)
  })

  test('no package', async () => {
    await expect(configured('{ services.sealed.enable = true; }')).rejects.toThrow(
      'services.sealed.package',
    )
  })
})
