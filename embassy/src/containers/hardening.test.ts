import { describe, expect, test } from 'vitest'
import { pauseOptions, type WorkloadSpec, workloadOptions } from './hardening.ts'
import { seccompProfile } from './seccomp.ts'

const spec: WorkloadSpec = {
  name: 'w',
  image: 'sha256:00',
  instance: 'beef',
  pause: 'p'.repeat(64),
  env: [{ name: 'PORT', value: '8000' }],
  memoryBytes: 1 << 28,
  pids: 64,
  activations: '/run/sealed/beef/activations/0',
}
const all = [
  pauseOptions({ name: 'p', image: 'sha256:01', instance: 'beef' }),
  workloadOptions(spec),
]

describe('every container', () => {
  test.each(all.map((options) => [options.name, options] as const))(
    '%s is closed',
    (_, options) => {
      const host = options.HostConfig
      expect(host).toMatchObject({
        CapDrop: ['ALL'],
        ReadonlyRootfs: true,
        Privileged: false,
        AutoRemove: false,
        LogConfig: { Type: 'none' },
        RestartPolicy: { Name: 'no' },
      })
      expect(host?.CapAdd).toBeUndefined()
      expect(host?.Binds).toBeUndefined()
      expect(host?.Devices).toBeUndefined()
      expect(host?.PidMode).toBeUndefined()
      expect(host?.SecurityOpt).toContain('no-new-privileges:true')
      expect(host?.MemorySwap).toBe(host?.Memory)
      expect(host?.PidsLimit).toBeGreaterThan(0)
      expect(options.User).toBe('64102:64102')
      expect(options.Labels).toEqual({ 'sealed.instance': 'beef' })
    },
  )

  test('but the workload mounts nothing, and that one its activations alone', () => {
    expect(all[0]?.HostConfig?.Mounts).toBeUndefined()
    expect(all[1]?.HostConfig?.Mounts).toHaveLength(1)
    expect(all[1]?.HostConfig?.Mounts?.[0]).toMatchObject({ Type: 'bind', Target: '/activations' })
    const { activations: _, ...without } = spec
    expect(workloadOptions(without).HostConfig?.Mounts).toEqual([])
  })

  test('weights are read where the workload’s file says, and written nowhere', () => {
    const weights = [{ source: '/run/sealed/beef/weights/00', target: '/models' }]
    const [activations, volume, ...more] = workloadOptions({ ...spec, weights }).HostConfig!.Mounts!
    expect(more).toEqual([])
    expect(activations).toMatchObject({ Target: '/activations', ReadOnly: false })
    expect(volume).toEqual({
      Type: 'bind',
      Source: '/run/sealed/beef/weights/00',
      Target: '/models',
      ReadOnly: true,
      BindOptions: { Propagation: 'rprivate' },
    })
  })

  test('what a workload’s file may ask for opens nothing else', () => {
    const asked = workloadOptions({
      ...spec,
      command: ['serve', '--port', '8000'],
      gpus: ['GPU-1'],
      runtime: 'runsc',
      shmBytes: 1 << 30,
      tmpBytes: 1 << 25,
    })
    const { Cmd, HostConfig, ...others } = asked
    const { DeviceRequests, Runtime, ShmSize, Tmpfs, ...host } = HostConfig!
    expect(Cmd).toEqual(['serve', '--port', '8000'])
    expect([Runtime, ShmSize]).toEqual(['runsc', 1 << 30])
    expect(DeviceRequests).toEqual([
      { Driver: 'nvidia', DeviceIDs: ['GPU-1'], Capabilities: [['gpu', 'compute', 'utility']] },
    ])
    expect(Tmpfs).toEqual({ '/tmp': expect.stringMatching(/^rw,noexec,.*size=33554432,/) })
    const plain = workloadOptions(spec)
    const { Tmpfs: _, ...plainHost } = plain.HostConfig!
    expect({ ...others, HostConfig: host }).toEqual({ ...plain, HostConfig: plainHost })
  })

  test('has no network but the one that the seal makes', () => {
    expect(all[0]?.HostConfig).toMatchObject({ NetworkMode: 'none', Dns: ['127.0.0.1'] })
    expect(all[1]?.HostConfig?.NetworkMode).toBe(`container:${spec.pause}`)
  })
})

describe('the system calls', () => {
  const allowed = new Set(
    seccompProfile.syscalls
      .filter(({ action }) => action === 'SCMP_ACT_ALLOW')
      .flatMap((rule) => ('args' in rule ? [] : [...rule.names])),
  )

  test('are closed unless listed', () => {
    expect(seccompProfile.defaultAction).toBe('SCMP_ACT_ERRNO')
    expect(seccompProfile.architectures).not.toContain('SCMP_ARCH_X86')
  })

  test.each([
    ...[
      'socket',
      'clone',
      'clone3',
      'io_uring_setup',
      'io_uring_enter',
      'ptrace',
      'process_vm_readv',
    ],
    ...[
      'pidfd_getfd',
      'mount',
      'umount2',
      'pivot_root',
      'unshare',
      'setns',
      'chroot',
      'bpf',
      'keyctl',
    ],
    ...['perf_event_open', 'userfaultfd', 'init_module', 'finit_module', 'kexec_load', 'add_key'],
    ...['open_by_handle_at', 'name_to_handle_at', 'personality', 'socketcall', 'syslog', 'mknod'],
    ...['setxattr', 'fanotify_init', 'quotactl', 'reboot', 'swapon', 'clock_settime', 'vmsplice'],
  ])('%s is not open whatever its arguments', (name) => {
    expect(allowed.has(name)).toBe(false)
  })

  test('of one name are listed once', () => {
    const names = seccompProfile.syscalls.flatMap((rule) => ('args' in rule ? [] : [...rule.names]))
    expect(new Set(names).size).toBe(names.length)
  })
})
