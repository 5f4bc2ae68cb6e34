// Makes and unmakes a replica's veth pair, and finds what a dead instance left. It knows nothing of rules but
// that they are to be loaded between `createPair` and `raisePair`, while no frame can pass yet.

import { SealedError } from '@sealed/protocol'
import { BLOCKS, blockNetwork, blockOrder, devicePrefix, overlap } from './addresses.ts'
import type { ReplicaLink } from './link.ts'
import { type Run, ToolFailure, type Tools, writeSetting } from './tools.ts'

/** The name of the link inside the replica's namespace. */
export const INNER_DEVICE = 'eth0'
// The smallest that IPv6 allows: no path is narrower, so no ICMP message about size is ever needed.
const MTU = 1280

/** A pair that is down at both ends; the inner end is in the namespace of process `pid` from the first. */
export async function createPair(tools: Tools, pid: number, link: ReplicaLink): Promise<void> {
  const inner = [
    'peer',
    'name',
    INNER_DEVICE,
    'address',
    link.workloadMac,
    'mtu',
    MTU,
    'netns',
    pid,
  ]
  await ipBatch(tools.here, [
    ['link add', link.device, 'address', link.hostMac, 'mtu', MTU, 'type veth', ...inner].join(' '),
    `link set ${link.device} addrgenmode none`,
  ])
}

/** Addresses, fixed neighbours and the way out, then up, inside first. */
export async function raisePair(tools: Tools, pid: number, link: ReplicaLink): Promise<void> {
  const inside: Run = (command, input) => tools.inside(pid, command, input)
  // An engine turns IPv6 off in a namespace that it gives no IPv6 address.
  await writeSetting(inside, 'net/ipv6/conf/all/disable_ipv6', 0)
  await ipBatch(inside, [
    'link set lo up',
    `link set ${INNER_DEVICE} addrgenmode none`,
    `addr add ${link.workloadAddress4}/31 dev ${INNER_DEVICE}`,
    `addr add ${link.workloadAddress6}/127 dev ${INNER_DEVICE} nodad`,
    `link set ${INNER_DEVICE} up`,
    ...neighbours(INNER_DEVICE, link.hostMac, [link.hostAddress4, link.hostAddress6]),
    `route add default via ${link.hostAddress4} dev ${INNER_DEVICE}`,
    `route add default via ${link.hostAddress6} dev ${INNER_DEVICE}`,
  ])
  await ipBatch(tools.here, [
    `addr add ${link.hostAddress4}/31 dev ${link.device}`,
    `addr add ${link.hostAddress6}/127 dev ${link.device} nodad`,
    `link set ${link.device} up`,
    ...neighbours(link.device, link.workloadMac, [link.workloadAddress4, link.workloadAddress6]),
  ])
}

export const removeDevice = (tools: Tools, device: string): Promise<void> =>
  ipBatch(tools.here, [`link del ${device}`])

/** The host ends of an instance that exist now. */
export async function devicesOf(tools: Tools, id: string): Promise<string[]> {
  const links = JSON.parse(await tools.here(['ip', '-j', 'link', 'show'])) as { ifname: string }[]
  return links.map(({ ifname }) => ifname).filter((name) => name.startsWith(devicePrefix(id)))
}

/** The tables of an instance, its claim on a block of addresses included, as `family name`. */
export async function tablesOf(tools: Tools, id: string): Promise<string[]> {
  const listing = await tools.here(['nft', 'list', 'tables'])
  const tables = listing.split('\n').map((line) => line.replace(/^table /, ''))
  const own = tables.filter((table) => table.split(' ')[1]?.startsWith(`sealed_${id}_`))
  for (const table of tables.filter((table) => CLAIM.test(table))) {
    // One that is gone by now was another's.
    const claim = await tools.here(['nft', 'list', 'table', ...table.split(' ')]).catch(() => '')
    if (claim.includes(`chain ${claimant(id)} {`)) own.push(table)
  }
  return own
}

const CLAIM = /^inet sealed_net_\d+$/
/** The table that is a block's claim. */
export const claimTable = (block: number): string => `sealed_net_${block}`
/** A chain without rules in that table: whose claim it is. */
const claimant = (id: string): string => `by_${id}`

export const deleteTables = async (tools: Tools, tables: readonly string[]): Promise<void> => {
  if (tables.length > 0)
    await tools.here(['nft', '-f', '-'], tables.map((table) => `delete table ${table}\n`).join(''))
}

/**
 * Takes a block of addresses that no route of this machine touches. The claim is a table whose creation fails
 * when another instance has the block: only the kernel can decide between two that start at once.
 */
export async function claimBlock(tools: Tools, id: string): Promise<number> {
  const routes = JSON.parse(
    await tools.here(['ip', '-4', '-j', 'route', 'show', 'table', 'all']),
  ) as { dst: string }[]
  const used = routes.map(({ dst }) => dst).filter((dst) => dst !== 'default')
  for (const block of blockOrder(id)) {
    if (used.some((network) => overlap(network, blockNetwork(block)))) continue
    const claim = [
      `create table inet ${claimTable(block)}`,
      `add chain inet ${claimTable(block)} ${claimant(id)}`,
    ]
    try {
      await tools.here(['nft', '-f', '-'], `${claim.join('\n')}\n`)
      return block
    } catch (error) {
      if (!(error instanceof ToolFailure && /File exists/.test(error.message))) throw error
    }
  }
  throw new SealedError('seal.failed', `all ${BLOCKS} blocks of 198.19.0.0/16 are in use here`)
}

const neighbours = (device: string, mac: string, addresses: readonly string[]): string[] =>
  addresses.map((address) => `neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`)

async function ipBatch(where: Run, lines: readonly string[]): Promise<void> {
  await where(['ip', '-batch', '-'], `${lines.join('\n')}\n`)
}
