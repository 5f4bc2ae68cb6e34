// What is read out of a listing in JSON. What nft really lists is read in test/escape-lifecycle.test.ts.
// Mutants: a set that is not there read as an empty one; counts or what is open left in `lasting`; rules left out of it.
import { describe, expect, test } from 'vitest'
import { isOpen, type Listing, lasting, packetsOf, refusals } from './listing.ts'

const element = (val: unknown, packets: number) => ({
  elem: { val, counter: { packets, bytes: 40 * packets } },
})
const listing = (
  more: {
    open?: string[]
    packets?: [number, number, number]
    leaked?: number
    rule?: unknown
  } = {},
): Listing => {
  const [low, tcp, high] = more.packets ?? [0, 0, 0]
  const elem = [
    element({ range: [0, 5] }, low),
    element('tcp', tcp),
    element({ range: [7, 255] }, high),
  ]
  const rule = { chain: 'gate', handle: 7, expr: [more.rule ?? { drop: null }] }
  return {
    nftables: [
      { counter: { name: 'leaked', packets: more.leaked ?? 0 } },
      { set: { name: 'open', ...(more.open && { elem: more.open }) } },
      { set: { name: 'refused', elem } },
      { rule },
    ] as Listing['nftables'],
  }
}
const unread = expect.objectContaining({ code: 'seal.failed' })

test('tells TCP that was answered from the rest that was dropped', () => {
  expect(refusals(listing({ packets: [1, 20, 300] }))).toEqual({ dropped: 301, rejected: 20 })
  const numbered: Listing = { nftables: [{ set: { name: 'refused', elem: [element(6, 2)] } }] }
  expect(refusals(numbered)).toEqual({ dropped: 0, rejected: 2 })
})

test('is open with any destination, and not without', () => {
  expect(isOpen(listing())).toBe(false)
  expect(isOpen(listing({ open: [] }))).toBe(false)
  expect(isOpen(listing({ open: ['slbeef-0'] }))).toBe(true)
})

test('counts what leaked', () => {
  expect(packetsOf(listing({ leaked: 12 }), 'leaked')).toBe(12)
})

describe('what is not listed', () => {
  const nothing: Listing = { nftables: [] }
  test('is never taken for closed, or for none', () => {
    expect(() => isOpen(nothing)).toThrow(unread)
    expect(() => refusals(nothing)).toThrow(unread)
    expect(() => packetsOf(nothing, 'leaked')).toThrow(unread)
    const uncounted: Listing = { nftables: [{ set: { name: 'refused', elem: ['tcp'] } }] }
    expect(() => refusals(uncounted)).toThrow(unread)
  })
})

test('what lasts is the same whatever was counted and whether it is open, and differs with any rule', () => {
  const loaded = lasting([listing()])
  expect(lasting([listing({ open: ['slbeef-0'], packets: [1, 2, 3], leaked: 9 })])).toBe(loaded)
  expect(lasting([listing({ rule: { accept: null } })])).not.toBe(loaded)
  expect(lasting([])).not.toBe(loaded)
})
