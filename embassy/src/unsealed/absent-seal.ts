// Where nothing is sealed: a workload is reached on the loopback, and whatever asks for a reading of a firewall fails, so
// that no statement of a seal can come to be.
import { createServer } from 'node:net'
import { SealedError } from '@sealed/protocol'
import type { LinkSpec, ReplicaLink, Seal } from '../seal/index.ts'

const LOOPBACK4 = '127.0.0.1'
const LOOPBACK6 = '::1'
const NO_MAC = '00:00:00:00:00:00'

export interface AbsentSealOptions {
  readonly relayPorts: readonly [number, number]
  readonly embassyPort: number
}

export const createAbsentSeal = ({ embassyPort, relayPorts }: AbsentSealOptions): Seal => ({
  start: async () => {},
  /** The port is one that nobody listens on at the moment; the workload's file has no say where it shares a machine. */
  attach: async (_pid: number, spec: LinkSpec): Promise<ReplicaLink> => ({
    ...spec,
    device: `lo-${spec.replica}`,
    hostMac: NO_MAC,
    workloadMac: NO_MAC,
    hostAddress4: LOOPBACK4,
    hostAddress6: LOOPBACK6,
    workloadAddress4: LOOPBACK4,
    workloadAddress6: LOOPBACK6,
    workloadPort: await freePort(),
    relayPorts,
    embassyPort,
  }),
  detach: async () => {},
  seal: nothing,
  check: nothing,
  verify: nothing,
  release: nothing,
  probe: async () => ({ results: [], blocked: 0, reached: 0, took_ms: 0 }),
  recover: async () => [],
  stop: async () => {},
})

async function nothing(): Promise<never> {
  throw new SealedError('seal.failed', 'nothing is sealed on this machine')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, LOOPBACK4, () => resolve())
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port on the loopback')
  return address.port
}
