// Reads what nft lists: in JSON, as libnftables-json(5) has it, whether the replica is open and how much was refused;
// in text, the rules in a form in which they can be compared with those that were loaded. Pure.
import { SealedError } from '@sealed/protocol'

/** One answer of nft: its objects in order, each under the name of its kind. */
export interface Listing {
  readonly nftables: readonly {
    readonly counter?: { readonly name: string; readonly packets: number }
    readonly set?: { readonly name: string; readonly elem?: readonly Element[] }
  }[]
}
type Element = string | { readonly elem: { readonly val: unknown; readonly counter: Counted } }
interface Counted {
  readonly packets: number
}

/** The set of all destinations: with an element in it the egress list is open. */
const OPEN = 'open'

/** Whether the listed set `open` shows a destination open. */
export const isOpen = (listing: Listing): boolean => elementsOf(listing, OPEN).length > 0

/** Packets refused, as the listed set `refused` counts them. */
export function refusals(listing: Listing): { dropped: number; rejected: number } {
  let dropped = 0
  let rejected = 0
  for (const element of elementsOf(listing, 'refused')) {
    if (typeof element === 'string') throw unread('a count of refused packets')
    const { val, counter } = element.elem
    if (val === 'tcp' || val === 6) rejected += counter.packets
    else dropped += counter.packets
  }
  return { dropped, rejected }
}

/** Packets of a named counter. */
export function packetsOf(listing: Listing, name: string): number {
  const found = listing.nftables.find(({ counter }) => counter?.name === name)?.counter
  if (!found) throw unread(`the counter ${name}`)
  return found.packets
}

function elementsOf(listing: Listing, name: string): readonly Element[] {
  const found = listing.nftables.find(({ set }) => set?.name === name)?.set
  if (!found) throw unread(`the set ${name}`)
  return found.elem ?? []
}

const unread = (what: string): SealedError =>
  new SealedError('seal.failed', `nft did not list ${what}; no replica is provably sealed`)

/** All that stays the same of listings while the rules do, as one text: without counts, and without what is open. */
export const lasting = (listings: readonly Listing[]): string =>
  JSON.stringify(listings, (key, value) => {
    if (key === 'packets' || key === 'bytes' || key === 'handle') return 0
    return key === 'set' && value.name === OPEN ? { ...value, elem: [] } : value
  })

/** One form for all texts of the same rules: counters at zero, and one spelling where versions of nft differ. */
export const canonical = (text: string): string =>
  text
    .replace(/(set open \{\s*type ifname)\s*elements = \{[^}]*\}/g, '$1')
    .replace(/packets \d+ bytes \d+/g, 'packets 0 bytes 0')
    // Versions of nft write a match on some of the TCP flags in two ways.
    .replace(
      /tcp flags & \(([\w |]+)\) (==|!=) (\w+)/g,
      (_, mask: string, op: string, value) =>
        `tcp flags ${op === '==' ? '' : '!= '}${value} / ${mask.replaceAll(' | ', ',')}`,
    )
    .replace(/tcp flags (?:rst \/ rst|& rst != 0x0|rst\b|& rst == rst)/g, 'tcp flags & rst == rst')
    .replace(/\s+/g, ' ')
