// Reads what nft lists: whether the replica is open, how much was refused, and the rules in a form in which they
// can be compared with the text that was loaded. Pure. It forgives only spellings in which versions of nft differ.

/** Whether a listing of the set `open` shows a destination open. */
export const isOpen = (listing: string): boolean => /\belements = /.test(setOf(listing, 'open'))

/** Packets refused, as the set `refused` counts them. */
export function refusals(listing: string): { dropped: number; rejected: number } {
  let dropped = 0
  let rejected = 0
  for (const [, range, packets] of setOf(listing, 'refused').matchAll(
    /([\w-]+) counter packets (\d+)/g,
  )) {
    if (range === 'tcp' || range === '6') rejected += Number(packets)
    else dropped += Number(packets)
  }
  return { dropped, rejected }
}

/** Packets of a named counter. */
export const packetsOf = (listing: string, counter: string): number =>
  Number(new RegExp(`counter ${counter} \\{\\s*packets (\\d+)`).exec(listing)?.[1])

/** One form for all listings of the same rules: counters at zero, nothing open, one spelling. */
export const canonical = (listing: string): string =>
  listing
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

const setOf = (listing: string, name: string): string =>
  new RegExp(`set ${name} \\{(?:[^{}]|\\{[^{}]*\\})*\\}`).exec(listing)?.[0] ?? ''
