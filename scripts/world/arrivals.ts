// Counts every packet that reaches an interface, before any other rule or program sees it.
// Neighbour discovery and group membership are the link's own upkeep and are left out.
import { run } from './run.ts'

const ruleset = (device: string) => `table netdev arrivals {
  set flows4 { type ipv4_addr . inet_proto . inet_service; size 65535; flags dynamic; counter; }
  set flows6 { type ipv6_addr . inet_proto . inet_service; size 65535; flags dynamic; counter; }
  set others4 { type ipv4_addr . inet_proto; size 65535; flags dynamic; counter; }
  set others6 { type ipv6_addr . inet_proto; size 65535; flags dynamic; counter; }
  chain ingress {
    type filter hook ingress device "${device}" priority 0; policy accept;
    icmpv6 type { 130-137, 143 } accept
    meta protocol ip meta l4proto { tcp, udp } update @flows4 { ip saddr . meta l4proto . th dport } accept
    meta protocol ip6 meta l4proto { tcp, udp } update @flows6 { ip6 saddr . meta l4proto . th dport } accept
    meta protocol ip update @others4 { ip saddr . meta l4proto } accept
    meta protocol ip6 update @others6 { ip6 saddr . meta l4proto } accept
  }
}`

export interface Arrivals {
  /** One line a source, protocol and port: `packets udp 198.18.0.1 to 5353: 3`. */
  list(): Promise<string[]>
  forget(): Promise<void>
}

/** Starts counting on `device` of the namespace; the rules go when the namespace does. */
export async function countArrivals(namespace: string, device: string): Promise<Arrivals> {
  const nft = (...args: string[]) => run('ip', ['netns', 'exec', namespace, 'nft', ...args])
  await nft(ruleset(device))
  return {
    list: async () => elements(JSON.parse(await nft('-j', 'list', 'table', 'netdev', 'arrivals'))),
    async forget() {
      for (const set of ['flows4', 'flows6', 'others4', 'others6'])
        await nft('flush', 'set', 'netdev', 'arrivals', set)
    },
  }
}

interface Element {
  elem: { val: { concat: [string, string | number, number?] }; counter: { packets: number } }
}

interface Listing {
  nftables: { set?: { elem?: Element[] } }[]
}

function elements({ nftables }: Listing): string[] {
  return nftables
    .flatMap(({ set }) => set?.elem ?? [])
    .map(({ elem: { val, counter } }) => {
      const [source, protocol, port] = val.concat
      const to = port === undefined ? '' : ` to ${port}`
      return `packets ${protocol} ${source}${to}: ${counter.packets}`
    })
}
