// Consistency proofs: every pair of sizes up to forty against the recursive definition written down anew, and proofs
// that were changed, cut, or made for another tree.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, concat, sha256, utf8 } from './bytes.ts'
import {
  consistencySubtrees,
  inclusionSubtrees,
  merkleConsistency,
  verifyConsistency,
} from './consistency.ts'
import { leafHash, merklePath, merkleRoot } from './merkle.ts'

const SIZES = 40
let leaves: Bytes[]
let roots: Bytes[]

/** RFC 6962 section 2.1, word for word, over the leaves themselves; shares no line with what it is held against. */
async function mth(data: Uint8Array[]): Promise<Bytes> {
  if (data.length === 0) return sha256(new Uint8Array(0))
  if (data.length === 1) return sha256(concat(Uint8Array.of(0), data[0]!))
  const k = largestPowerBelow(data.length)
  return sha256(concat(Uint8Array.of(1), await mth(data.slice(0, k)), await mth(data.slice(k))))
}

/** RFC 6962 section 2.1.2: PROOF(m, D[n]) = SUBPROOF(m, D[n], true). */
async function subproof(m: number, data: Uint8Array[], whole: boolean): Promise<Bytes[]> {
  const n = data.length
  if (m === n) return whole ? [] : [await mth(data)]
  const k = largestPowerBelow(n)
  return m <= k
    ? [...(await subproof(m, data.slice(0, k), whole)), await mth(data.slice(k))]
    : [...(await subproof(m - k, data.slice(k), false)), await mth(data.slice(0, k))]
}

function largestPowerBelow(n: number): number {
  let k = 1
  for (let power = 1; power < n; power *= 2) k = power
  return k
}

const data = Array.from({ length: SIZES }, (_, i) => utf8(`leaf ${i}`))

beforeAll(async () => {
  leaves = await Promise.all(data.map(leafHash))
  roots = []
  for (let size = 0; size <= SIZES; size++) roots.push(await merkleRoot(leaves.slice(0, size)))
})

const head = (size: number, root = roots[size]!) => ({ size, root })

describe('a consistency proof', () => {
  it('is the one of RFC 6962 for every pair of sizes, and holds', async () => {
    for (let size = 1; size <= SIZES; size++) {
      expect(roots[size]).toEqual(await mth(data.slice(0, size)))
      for (let old = 1; old <= size; old++) {
        const proof = await merkleConsistency(leaves.slice(0, size), old)
        const at = `${old} of ${size}`
        expect(proof, at).toEqual(await subproof(old, data.slice(0, size), true))
        expect(await verifyConsistency(head(old), head(size), proof), at).toBe(true)
      }
    }
  })

  it('is empty from nothing, and holds for the root of nothing alone', async () => {
    expect(consistencySubtrees(0, 7)).toEqual([])
    expect(await verifyConsistency(head(0), head(7), [])).toBe(true)
    expect(await verifyConsistency(head(0, roots[1]), head(7), [])).toBe(false)
    expect(await verifyConsistency(head(0), head(7), [roots[1]!])).toBe(false)
    expect(await verifyConsistency(head(0), head(0), [])).toBe(true)
  })

  it('with any bit of any hash flipped does not hold', async () => {
    for (const [old, size] of [
      [1, 2],
      [3, 7],
      [4, 8],
      [6, 13],
      [21, 40],
    ] as const) {
      const proof = await merkleConsistency(leaves.slice(0, size), old)
      for (const [i, hash] of proof.entries())
        for (let bit = 0; bit < 256; bit++) {
          const flipped = hash.slice()
          flipped[bit >> 3]! ^= 1 << (bit & 7)
          expect(await verifyConsistency(head(old), head(size), proof.with(i, flipped))).toBe(false)
        }
    }
  })

  it('of another length, order or pair of sizes does not hold', async () => {
    for (let size = 2; size <= 20; size++)
      for (let old = 1; old < size; old++) {
        const proof = await merkleConsistency(leaves.slice(0, size), old)
        const holds = (given: Bytes[], from = old, to = size) =>
          verifyConsistency(head(from), head(to), given)
        expect(await holds([...proof, leaves[0]!])).toBe(false)
        expect(await holds(proof.slice(1))).toBe(false)
        expect(await holds(proof.slice(0, -1))).toBe(false)
        if (proof.length > 1) expect(await holds([...proof].reverse())).toBe(false)
        expect(await holds(proof, old, size + 1)).toBe(false)
        expect(await holds(proof, size, old)).toBe(false)
        if (old > 1) expect(await holds(proof, old - 1)).toBe(false)
      }
  })

  it('does not hold for a root that is another size’s', async () => {
    for (let size = 2; size <= 20; size++)
      for (let old = 1; old < size; old++) {
        const proof = await merkleConsistency(leaves.slice(0, size), old)
        for (const claimed of [2 * size, 4 * size, SIZES + size])
          expect(await verifyConsistency(head(old), head(claimed, roots[size]), proof)).toBe(false)
      }
  })

  it('is not to be had between two logs of one beginning', async () => {
    const forked = [...leaves.slice(0, 9), ...leaves.slice(20, 31)]
    const root = await merkleRoot(forked)
    const proof = await merkleConsistency(forked, 15)
    expect(
      await verifyConsistency(head(9), head(20, root), await merkleConsistency(forked, 9)),
    ).toBe(true)
    expect(await verifyConsistency(head(15), head(20, root), proof)).toBe(false)
    expect(await verifyConsistency(head(20), head(20, root), [])).toBe(false)
  })

  it('is not to be had from a log whose leaves were reordered', async () => {
    const reordered = leaves.with(3, leaves[4]!).with(4, leaves[3]!)
    const root = await merkleRoot(reordered)
    for (const old of [4, 5, 8, 20]) {
      const proof = await merkleConsistency(reordered, old)
      expect(await verifyConsistency(head(old), head(SIZES, root), proof)).toBe(false)
    }
  })

  it.each([-1, 0.5, Number.NaN, 2 ** 60])('of size %s is none', async (size) => {
    const odd = { size, root: roots[1]! }
    expect(await verifyConsistency(odd, head(7), [roots[1]!])).toBe(false)
    expect(await verifyConsistency(head(1), odd, [roots[1]!])).toBe(false)
  })
})

it('the subtrees of an inclusion path are those of the path', async () => {
  for (let size = 1; size <= SIZES; size++)
    for (let index = 0; index < size; index++) {
      const hashes = leaves.slice(0, size)
      const path = inclusionSubtrees(index, size).map(({ start, size: count }) =>
        merkleRoot(hashes.slice(start, start + count)),
      )
      expect(await Promise.all(path)).toEqual(await merklePath(hashes, index))
    }
})
