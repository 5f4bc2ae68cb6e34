// What the rest of the machine must allow so that an egress list works: packets forwarded at all, and no Docker
// rule in the way. Nothing here opens anything for a replica: its own tables stay the only gate.
import { isIPv6 } from 'node:net'
import type { EgressRule } from '@sealed/protocol'
import { devicePrefix } from './addresses.ts'
import { ToolFailure, type Tools, writeSetting } from './tools.ts'

const IPTABLES = ['iptables', 'ip6tables'] as const

/** Turns forwarding on for the families that the list names; an empty list changes nothing. */
export async function allowForwarding(
  tools: Tools,
  id: string,
  egress: readonly EgressRule[],
): Promise<void> {
  if (egress.length === 0) return
  const v6 = (rule: EgressRule) => isIPv6(rule.address.split('/')[0] ?? '')
  if (!egress.every(v6)) await writeSetting(tools.here, 'net/ipv4/ip_forward', 1)
  if (egress.some(v6)) await writeSetting(tools.here, 'net/ipv6/conf/all/forwarding', 1)
  for (const iptables of IPTABLES) {
    const listing = await rulesOf(tools, iptables)
    const chain = droppingChain(listing)
    if (chain === undefined || ours(listing, id).length > 0) continue
    for (const direction of ['-i', '-o'])
      await tools.here([
        ...([iptables, '-w', '5', '-I', chain] as const),
        ...[direction, `${devicePrefix(id)}+`, '-j', 'ACCEPT'],
      ])
  }
}

/** Takes back the rules that `allowForwarding` made for this instance, now or in an earlier life. */
export async function withdrawForwarding(tools: Tools, id: string): Promise<void> {
  for (const iptables of IPTABLES)
    for (const rule of ours(await rulesOf(tools, iptables), id))
      await tools.here([iptables, '-w', '5', '-D', ...rule.split(' ').slice(1)])
}

/** Where an accept has to stand: Docker's own chain for users, else the FORWARD chain if its policy is to drop. */
function droppingChain(listing: readonly string[]): string | undefined {
  if (listing.includes('-N DOCKER-USER')) return 'DOCKER-USER'
  return listing.includes('-P FORWARD DROP') ? 'FORWARD' : undefined
}

const ours = (listing: readonly string[], id: string): string[] =>
  listing.filter((rule) => rule.startsWith('-A ') && rule.includes(` ${devicePrefix(id)}+ `))

async function rulesOf(tools: Tools, iptables: (typeof IPTABLES)[number]): Promise<string[]> {
  try {
    return (await tools.here([iptables, '-w', '5', '-S'])).trim().split('\n')
  } catch (error) {
    // Without iptables nobody has used it to forbid forwarding.
    if (error instanceof ToolFailure && error.missing) return []
    throw error
  }
}
