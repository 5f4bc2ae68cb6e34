// How every container of ours is started: with no right that an inference server does not need. Pure data.
// Each line is a door that was found open, or that stays shut in case one is.
import type { ContainerCreateOptions, HostConfig, MountSettings } from 'dockerode'
import { seccompProfile } from './seccomp.ts'

export const WORKLOAD_USER = '64102:64102'
/** Every container carries it with the instance id; a start sweeps what a dead instance left. */
export const INSTANCE_LABEL = 'sealed.instance'
/** The directory inside the workload where it drops its activations. */
export const ACTIVATIONS_MOUNT = '/activations'

const TMP_BYTES = 16 * 1024 * 1024
// The engine gives the mount the mode that the image's own directory has, so only the owner counts.
const TMP_OWNER = 'mode=1777,uid=64102,gid=64102'
const PAUSE_MEMORY_BYTES = 16 * 1024 * 1024
const PAUSE_PIDS = 8

interface Limits {
  readonly memoryBytes: number
  readonly pids: number
}

const hardened = (limits: Limits): HostConfig => ({
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges:true', `seccomp=${JSON.stringify(seccompProfile)}`],
  ReadonlyRootfs: true,
  Privileged: false,
  PidsLimit: limits.pids,
  Memory: limits.memoryBytes,
  // The same bound for memory with swap: none is written to a disk.
  MemorySwap: limits.memoryBytes,
  IpcMode: 'private',
  // What a workload prints while sealed would be read by somebody later: nothing keeps it.
  LogConfig: { Type: 'none', Config: {} },
  // The embassy decides what becomes of a dead container; the engine never starts one by itself, unsealed or not.
  RestartPolicy: { Name: 'no' },
  AutoRemove: false,
  Ulimits: [{ Name: 'core', Soft: 0, Hard: 0 }],
})

export interface PauseSpec {
  readonly name: string
  readonly image: string
  readonly instance: string
}

/** The container that holds a replica's network namespace and does nothing. */
export const pauseOptions = ({ name, image, instance }: PauseSpec): ContainerCreateOptions => ({
  name,
  Image: image,
  User: WORKLOAD_USER,
  Labels: { [INSTANCE_LABEL]: instance },
  HostConfig: {
    ...hardened({ memoryBytes: PAUSE_MEMORY_BYTES, pids: PAUSE_PIDS }),
    // No bridge, no embedded name server, no docker-proxy: the only link is the one that the seal makes.
    NetworkMode: 'none',
    // The engine would answer names from the host's namespace, behind every packet filter's back.
    Dns: ['127.0.0.1'],
    DnsSearch: ['.'],
  },
})

export interface WorkloadSpec {
  readonly name: string
  /** Image config digest, hex. */
  readonly image: string
  readonly instance: string
  /** Container id of the pause container whose network it shares. */
  readonly pause: string
  readonly env: readonly { readonly name: string; readonly value: string }[]
  readonly memoryBytes: number
  readonly pids: number
  /** Directory of this machine that becomes the activations mount; undefined for none. */
  readonly activations?: string
  /** Arguments in place of the image's own. */
  readonly command?: readonly string[]
  readonly gpus?: readonly string[]
  readonly runtime?: 'runc' | 'runsc'
  readonly shmBytes?: number
  readonly tmpBytes?: number
  /** Directories of this machine that it reads, each at a path of its own. */
  readonly weights?: readonly { readonly source: string; readonly target: string }[]
}

export const workloadOptions = (spec: WorkloadSpec): ContainerCreateOptions => ({
  name: spec.name,
  Image: spec.image,
  User: WORKLOAD_USER,
  Env: spec.env.map(({ name, value }) => `${name}=${value}`),
  Labels: { [INSTANCE_LABEL]: spec.instance },
  ...(spec.command && { Cmd: [...spec.command] }),
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  OpenStdin: false,
  HostConfig: {
    ...hardened(spec),
    NetworkMode: `container:${spec.pause}`,
    Tmpfs: { '/tmp': `rw,noexec,nosuid,nodev,size=${spec.tmpBytes ?? TMP_BYTES},${TMP_OWNER}` },
    ...(spec.runtime && { Runtime: spec.runtime }),
    ...(spec.shmBytes !== undefined && { ShmSize: spec.shmBytes }),
    // By name, so that one that is added to the machine later is nobody's; what computes, and nothing that displays.
    ...(spec.gpus && {
      DeviceRequests: [
        {
          Driver: 'nvidia',
          DeviceIDs: [...spec.gpus],
          Capabilities: [['gpu', 'compute', 'utility']],
        },
      ],
    }),
    Mounts: [
      ...(spec.activations ? [bind(spec.activations, ACTIVATIONS_MOUNT, false)] : []),
      ...(spec.weights ?? []).map(({ source, target }) => bind(source, target, true)),
    ],
  },
})

const bind = (source: string, target: string, readOnly: boolean): MountSettings => ({
  Type: 'bind',
  Source: source,
  Target: target,
  ReadOnly: readOnly,
  BindOptions: { Propagation: 'rprivate' },
})
