// Chooses what a replica tries from inside, runs it there, and judges. Pure but for `runProbes`.
// Every target lies on this machine or is named by the operator; behind a whole firewall no packet leaves the link.
import { isIPv6 } from 'node:net'
import { type EgressRule, SealedError } from '@sealed/protocol'
import { programUrl } from '../programs.ts'
import type { Probe, ProbeReport, ProbeResult, ReplicaLink } from './link.ts'
import type { Tools } from './tools.ts'

export interface ProbeOptions {
  /** Name servers of this machine. */
  readonly resolvers: readonly string[]
  /** Further destinations that must not be reached. */
  readonly targets: readonly EgressRule[]
  /** A busybox with ping, ping6 and arping. */
  readonly busybox: string
}

/** Packets by which the firewall itself tells what became of the probes; read before and after. */
export interface Witness {
  readonly leaked: number
  readonly rejected: number
}

type Answer = 'answered' | 'refused' | 'silent'

const METADATA = '169.254.169.254'
/** Nothing of ours listens there, and no rule lets it pass. */
const CLOSED_PORT = 9
const WAIT_MS = 150

export function chooseProbes(
  link: ReplicaLink,
  siblings: readonly ReplicaLink[],
  options: ProbeOptions,
): Probe[] {
  const host = [link.hostAddress4, link.hostAddress6].flatMap((target): Probe[] => [
    { kind: 'tcp', target, port: CLOSED_PORT },
    { kind: 'udp', target, port: CLOSED_PORT },
    { kind: 'icmp', target },
  ])
  // One stands for all: their tables are made by the same function.
  const sibling = siblings.slice(0, 1).flatMap((other): Probe[] => [
    { kind: 'tcp', target: other.workloadAddress4, port: other.workloadPort },
    { kind: 'tcp', target: other.workloadAddress6, port: other.workloadPort },
    { kind: 'icmp', target: other.workloadAddress4 },
  ])
  const resolvers = options.resolvers.map((target): Probe => ({ kind: 'dns', target, port: 53 }))
  const configured = options.targets.map(
    ({ address, port, protocol }): Probe => ({
      kind: protocol,
      target: address.split('/')[0] ?? '',
      port,
    }),
  )
  return [
    ...host,
    { kind: 'raw', target: link.hostAddress4 },
    { kind: 'tcp', target: METADATA, port: 80 },
    { kind: 'dns', target: METADATA, port: 53 },
    ...sibling,
    ...resolvers,
    ...configured,
  ]
}

/** Runs the probes in the network namespace of process `pid`; bounded, and the same length whatever comes back. */
export async function runProbes(
  tools: Tools,
  pid: number,
  probes: readonly Probe[],
  busybox: string,
): Promise<Answer[]> {
  const program = programUrl('seal/prober').pathname
  const task = JSON.stringify({ probes, wait_ms: WAIT_MS, busybox })
  const output = await tools.inside(pid, [process.execPath, program, task])
  const answers: unknown = JSON.parse(output)
  if (!Array.isArray(answers) || answers.length !== probes.length)
    throw new SealedError(
      'seal.failed',
      'the prober did not answer for every probe; see its output',
    )
  return answers as Answer[]
}

/**
 * A refusal counts as blocked only if the firewall says that it refused as often: without that, the reset may
 * have come from the very machine that was not to be reached.
 */
export function judge(
  probes: readonly Probe[],
  answers: readonly Answer[],
  before: Witness,
  after: Witness,
  tookMs: number,
): ProbeReport {
  const refused = answers.filter((answer) => answer === 'refused').length
  const ownRefusals = after.rejected - before.rejected >= refused
  const results = probes.map(({ kind, target }, index): ProbeResult => {
    const answer = answers[index]
    const reached = answer === 'answered' || (answer === 'refused' && !ownRefusals)
    return { kind, target, result: reached ? 'reached' : 'blocked' }
  })
  const leaked = after.leaked > before.leaked
  results.push({ kind: 'witness', target: 'second gate', result: leaked ? 'reached' : 'blocked' })
  const reached = results.filter(({ result }) => result === 'reached').length
  return { results, reached, blocked: results.length - reached, took_ms: tookMs }
}

/** The name servers that a resolv.conf names. */
export const nameservers = (resolvConf: string): string[] =>
  [...resolvConf.matchAll(/^nameserver\s+([0-9a-fA-F:.]+)\s*$/gm)]
    .map(([, address]) => address ?? '')
    // A link-local one is no address without its interface.
    .filter((address) => !isIPv6(address) || !address.toLowerCase().startsWith('fe80:'))
