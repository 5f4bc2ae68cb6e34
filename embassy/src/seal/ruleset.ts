// The text of one replica's firewall, written in the very form in which nft lists it, so that what the kernel
// holds can be compared with what we loaded. Pure: it loads nothing.
//
// The netdev table sees every frame of the link and lets only IP pass, and only what could ever be allowed
// towards the workload. The inet table decides: at the link itself (`gate`), again on the way into the machine
// (`arrived`, which counts what slipped through as `leaked`), and towards the workload (`forwarded`, `sent`),
// where outsiders are answered by a reset, so that nothing they sent is delivered late.
// One element in one set, `open`, is all that differs between sealed and not sealed.
import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { EgressRule } from '@sealed/protocol'
import { canonicalAddress } from './addresses.ts'
import type { ReplicaLink } from './link.ts'

export interface Ruleset {
  /** Name of the replica's table, the same in both families. */
  readonly table: string
  /** Loaded by one `nft -f`, so as one transaction. */
  readonly text: string
  /** SHA-256 of `text`, lower-case hex. */
  readonly digest: string
}

export interface RulesetOptions {
  /** Instance id, four hex digits. */
  readonly id: string
  /** The one user that may open connections to the workload; undefined lets every local user. */
  readonly relayUid?: number
}

export const FAMILIES = ['netdev', 'inet'] as const
export const tableName = (id: string, replica: number): string => `sealed_${id}_${replica}`

export function ruleset(link: ReplicaLink, options: RulesetOptions): Ruleset {
  const table = tableName(options.id, link.replica)
  const text = netdevTable(table, link) + inetTable(table, link, options.relayUid)
  return { table, text, digest: createHash('sha256').update(text).digest('hex') }
}

/** All TCP but a bare SYN: part of a connection that the other side opened. */
const NOT_OPENING = 'tcp flags != syn / syn,ack'
// What is refused is counted by the elements of a set: nft reads one back three times faster than counters.
const DROP = 'meta l4proto @refused drop'
// That it is TCP is said again behind the set: nft 1.1 has forgotten it there, and resets only what it knows to be TCP.
const RESET = 'meta l4proto tcp meta l4proto @refused meta l4proto tcp reject with tcp reset'
const STRAY = 'counter name "strays" drop'

const netdevTable = (table: string, link: ReplicaLink): string =>
  block(`table netdev ${table}`, [
    counter('strays'),
    baseChain('from_workload', `ingress device "${link.device}" priority -500; policy drop`, [
      'meta protocol { ip, ip6 } accept',
      STRAY,
    ]),
    baseChain('to_workload', `egress device "${link.device}" priority -500; policy drop`, [
      ...fromMachine(link),
      'jump listed_answers',
      STRAY,
    ]),
    chain(
      'listed_answers',
      link.egress.map((rule) => answerRule(link, rule)),
    ),
  ])

function inetTable(table: string, link: ReplicaLink, relayUid: number | undefined): string {
  const { device, hostAddress4: h4, hostAddress6: h6, workloadAddress4: w4 } = link
  const w6 = link.workloadAddress6
  return block(`table inet ${table}`, [
    counter('leaked'),
    part('set open', ['type ifname']),
    part('set refused', [
      'type inet_proto',
      'flags interval',
      'counter',
      `elements = { ${['0-5', 'tcp', '7-255'].map((range) => `${range} counter ${ZERO}`).join(', ')} }`,
    ]),
    baseChain('gate', `ingress device "${device}" priority -400; policy drop`, [
      // Dropped, never answered: a reset would be routed to whomever the packet claims to come from.
      `ip saddr != ${w4} ${DROP}`,
      `ip6 saddr != ${w6} ${DROP}`,
      ...toMachine(link),
      'iifname @open jump listed',
      RESET,
      DROP,
    ]),
    baseChain('arrived', 'prerouting priority raw; policy accept', [
      // A reset of ours to a process of this machine, from `sent` below.
      'iifname "lo" tcp flags & rst == rst accept',
      // The link's addresses are for its two ends alone: nobody calls the embassy there, or speaks as the workload.
      ...[`ip daddr ${h4}`, `ip6 daddr ${h6}`, `ip saddr ${w4}`, `ip6 saddr ${w6}`].map(
        (match) => `${match} iifname != "${device}" ${DROP}`,
      ),
      `iifname != "${device}" accept`,
      ...toMachine(link),
      'iifname @open jump listed',
      'counter name "leaked" drop',
    ]),
    baseChain('forwarded', 'forward priority filter; policy accept', [
      `oifname "${device}" goto answers`,
    ]),
    baseChain('sent', 'output priority filter; policy accept', [
      `oifname != "${device}" accept`,
      ...(relayUid === undefined ? [] : [notByRelay(link, relayUid)]),
      ...fromMachine(link),
      'goto answers',
    ]),
    chain('answers', [
      'oifname @open ct state established ct direction reply jump listed_answers',
      RESET,
      DROP,
    ]),
    chain(
      'listed',
      link.egress.map((rule) => requestRule(link, rule)),
    ),
    chain(
      'listed_answers',
      link.egress.map((rule) => answerRule(link, rule)),
    ),
    part('chain departed', [
      'type nat hook postrouting priority srcnat; policy accept;',
      `oifname != "${device}" ip saddr ${w4} masquerade`,
      `oifname != "${device}" ip6 saddr ${w6} masquerade`,
    ]),
  ])
}

/** What this machine may send whatever the state: the relay's requests, the embassy's answers, resets without data. */
const fromMachine = (link: ReplicaLink): string[] => [
  `${relayMatch(link)} accept`,
  `ip saddr ${link.hostAddress4} ip daddr ${link.workloadAddress4} tcp sport ${link.embassyPort} ${NOT_OPENING} accept`,
  'ip length 40 tcp flags & rst == rst accept',
  'ip6 length 20 tcp flags & rst == rst accept',
]

/** What the workload may send whatever the state: answers to the relay, calls to the embassy. */
const toMachine = ({ hostAddress4, workloadAddress4, ...link }: ReplicaLink): string[] => {
  const match = `ip saddr ${workloadAddress4} ip daddr ${hostAddress4}`
  const [first, last] = link.relayPorts
  return [
    `${match} tcp sport ${link.workloadPort} tcp dport ${first}-${last} ${NOT_OPENING} accept`,
    `${match} tcp dport ${link.embassyPort} accept`,
  ]
}

const relayMatch = ({ hostAddress4, workloadAddress4, ...link }: ReplicaLink): string => {
  const ports = `tcp sport ${link.relayPorts[0]}-${link.relayPorts[1]} tcp dport ${link.workloadPort}`
  return `ip saddr ${hostAddress4} ip daddr ${workloadAddress4} ${ports}`
}

// The user is asked for at the opening only: what the kernel sends to end a connection belongs to nobody.
const notByRelay = (link: ReplicaLink, uid: number): string =>
  `${relayMatch(link)} tcp flags syn / syn,ack meta skuid != ${uid} ${RESET}`

const family = (rule: EgressRule): 'ip' | 'ip6' =>
  isIPv6(rule.address.split('/')[0] ?? '') ? 'ip6' : 'ip'
const workloadAddress = (link: ReplicaLink, rule: EgressRule): string =>
  family(rule) === 'ip6' ? link.workloadAddress6 : link.workloadAddress4

function requestRule(link: ReplicaLink, rule: EgressRule): string {
  const ip = family(rule)
  const to = `${party(ip, 'daddr', rule)}${rule.protocol} dport ${rule.port}`
  return `${ip} saddr ${workloadAddress(link, rule)} ${to} accept`
}

function answerRule(link: ReplicaLink, rule: EgressRule): string {
  const ip = family(rule)
  const from = `${party(ip, 'saddr', rule)}${rule.protocol} sport ${rule.port}`
  const kind = rule.protocol === 'tcp' ? ` ${NOT_OPENING}` : ''
  return `${ip} daddr ${workloadAddress(link, rule)} ${from}${kind} accept`
}

/** The match on the far end's address; none for the whole of a family, which nft would not list. */
function party(ip: string, field: 'saddr' | 'daddr', rule: EgressRule): string {
  const address = canonicalAddress(rule.address)
  return address.endsWith('/0') ? '' : `${ip} ${field} ${address} `
}

const ZERO = 'packets 0 bytes 0'

const part = (head: string, lines: readonly string[]): string =>
  [`\t${head} {`, ...lines.map((line) => `\t\t${line}`), '\t}'].join('\n')

const block = (head: string, parts: readonly string[]): string =>
  `${head} {\n${parts.join('\n\n')}\n}\n`

const counter = (name: string): string => part(`counter ${name}`, [ZERO])
const chain = (name: string, rules: readonly string[]): string => part(`chain ${name}`, rules)
const baseChain = (name: string, hook: string, rules: readonly string[]): string =>
  chain(name, [`type filter hook ${hook};`, ...rules])
