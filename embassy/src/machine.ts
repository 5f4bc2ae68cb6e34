// What an embassy stands on: a TPM, a firewall and a container engine; or, where its deployment says that this machine
// cannot seal, nothing of these. Which one it is says the deployment alone: neither is ever gone over to from the other.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type AttestationDocument,
  check,
  type Deployment,
  launchSchema,
  parseCanonical,
  type UnsealedReason,
} from '@sealed/protocol'
import { Challenges } from './attestation/challenges.ts'
import { readEventLog } from './attestation/event-log.ts'
import { ConfigfsTsm } from './attestation/tee.ts'
import { attest, type BootDeps, type BootState, startBoot } from './boot.ts'
import { type Containers, createContainers } from './containers/index.ts'
import type { Metrics } from './metrics.ts'
import { mountActivations, plainActivations, unmountBelow } from './replicas/activations-mount.ts'
import { createSeal, nameservers, type Seal } from './seal/index.ts'
import type { Store } from './store/store.ts'
import { type Anchor, openTpm } from './tpm/index.ts'
import { createAbsentSeal } from './unsealed/absent-seal.ts'
import { absentTpm } from './unsealed/absent-tpm.ts'
import { startUnsealedBoot, stateUnsealed } from './unsealed/boot.ts'
import { createChildProcesses } from './unsealed/child-processes.ts'

export const RELAY_UID = 64103
/** Source ports of the relay: outside the kernel's ephemeral range. */
const RELAY_PORTS = [61_000, 61_999] as const
/** Where workloads that drive the protocol themselves would find the embassy. */
const EMBASSY_PORT = 7100

export interface Attested {
  document: AttestationDocument
  digest: string
}

export interface Machine {
  boot: BootState
  /** A new document, with the transport keys that are valid now. */
  attest(): Promise<Attested>
  /** Undefined where there is no TPM to answer. */
  challenges: Pick<Challenges, 'answer'> | undefined
  /** What counts and quotes the ledger's steps. */
  anchor(store: Store): Anchor
  seal: Seal
  containers: Containers
  pause: { archive: string; image: string } | undefined
  /** An empty directory for the activations of the replica of this name. */
  mount(name: string): Promise<string>
  /** Undoes every `mount`. */
  unmount(): Promise<void>
  /** Why nothing is sealed, where that is so. */
  unsealed: UnsealedReason | undefined
}

/** `undo` is called for what is to be ended with the embassy, before it can be left half made. */
export const openMachine = (
  deployment: Deployment,
  boot: Pick<BootDeps, 'files' | 'configuration' | 'tlsSpkiDigest'>,
  metrics: Metrics,
  undo: (step: () => Promise<void>) => void,
): Promise<Machine> =>
  deployment.unsealed === undefined
    ? sealedMachine(deployment, boot, metrics, undo)
    : unsealedMachine(deployment, deployment.unsealed, boot)

async function sealedMachine(
  deployment: Deployment,
  given: Pick<BootDeps, 'files' | 'configuration' | 'tlsSpkiDigest'>,
  metrics: Metrics,
  undo: (step: () => Promise<void>) => void,
): Promise<Machine> {
  const { chain, event_log, path } = deployment.tpm!
  const tpm = metrics.measured(await openTpm(path))
  undo(() => tpm.close())
  const deps: BootDeps = {
    ...given,
    tpm,
    chainPath: chain,
    ...(event_log && { eventLog: await readEventLog(event_log) }),
    ...teeOf(deployment),
    ...(await launchOf(deployment)),
  }
  const boot = await startBoot(deps)
  const activations = join(deployment.runtime_dir, 'activations')
  return {
    boot,
    attest: () => attest(boot, deps),
    challenges: new Challenges(tpm, boot.keySetDigest),
    anchor: () => tpm,
    seal: createSeal({
      id: deployment.id,
      relayPorts: RELAY_PORTS,
      embassyPort: EMBASSY_PORT,
      relayUid: RELAY_UID,
      probes: {
        resolvers: nameservers(await readFile('/etc/resolv.conf', 'utf8').catch(() => '')),
        targets: deployment.probes.targets,
        busybox: '/bin/busybox',
      },
    }),
    containers: createContainers(deployment.docker_socket),
    pause: deployment.pause,
    mount: (name) => mountActivations(activations, name),
    unmount: () => unmountBelow(activations),
    unsealed: undefined,
  }
}

async function unsealedMachine(
  { runtime_dir }: Deployment,
  unsealed: UnsealedReason,
  deps: Pick<BootDeps, 'files' | 'configuration' | 'tlsSpkiDigest'>,
): Promise<Machine> {
  const boot = await startUnsealedBoot(deps)
  return {
    boot,
    attest: () => stateUnsealed(boot, deps),
    challenges: undefined,
    anchor: (store) => absentTpm(() => store.runLazy('anchors', undefined)),
    seal: createAbsentSeal({ relayPorts: RELAY_PORTS, embassyPort: EMBASSY_PORT }),
    containers: createChildProcesses(),
    pause: undefined,
    mount: (name) => plainActivations(join(runtime_dir, 'activations'), name),
    unmount: async () => {},
    unsealed,
  }
}

async function launchOf({ launch }: Deployment): Promise<Pick<BootDeps, 'launch'>> {
  if (launch === undefined) return {}
  const record = parseCanonical(await readFile(launch))
  return { launch: check(launchSchema, record, launch, 'config.invalid') }
}

function teeOf({ id, tee }: Deployment): Pick<BootDeps, 'tee'> {
  if (!tee) return {}
  const eventLog = tee.event_log
  const options = { directory: tee.directory, name: `sealed-${id}` }
  return { tee: new ConfigfsTsm({ ...options, ...(eventLog !== undefined && { eventLog }) }) }
}
