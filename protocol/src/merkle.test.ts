// RFC 6962 trees: the known values of Certificate Transparency's reference implementation, every index and size up to
// forty, and paths that lead elsewhere or nowhere.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, fromHex, toHex, utf8 } from './bytes.ts'
import {
  leafHash,
  merklePath,
  merklePaths,
  merkleRoot,
  nodeHash,
  rootFromPath,
  split,
  verifyInclusion,
} from './merkle.ts'

const KNOWN_LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
]
/** Root of the first n of these leaves. */
const KNOWN_ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
/** [index, size, path] */
const KNOWN_PATHS: [number, number, string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    1,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
]

const SIZES = 40
let known: Bytes[]
let leaves: Bytes[]
let roots: Bytes[]
/** paths[size][index] */
let paths: Bytes[][][]

/** Roots of all sizes by another road than the recursion: full subtrees on a stack, merged as leaves arrive. */
async function rootsBySubtrees(hashes: Bytes[]): Promise<Bytes[]> {
  const stack: { height: number; hash: Bytes }[] = []
  const out: Bytes[] = []
  for (const hash of hashes) {
    stack.push({ height: 0, hash })
    while (stack.length > 1 && stack.at(-1)!.height === stack.at(-2)!.height) {
      const right = stack.pop()!
      const left = stack.pop()!
      stack.push({ height: left.height + 1, hash: await nodeHash(left.hash, right.hash) })
    }
    let root = stack.at(-1)!.hash
    for (const { hash: left } of stack.slice(0, -1).reverse()) root = await nodeHash(left, root)
    out.push(root)
  }
  return out
}

beforeAll(async () => {
  known = await Promise.all(KNOWN_LEAVES.map((leaf) => leafHash(fromHex(leaf))))
  leaves = await Promise.all(Array.from({ length: SIZES }, (_, i) => leafHash(utf8(`leaf ${i}`))))
  roots = await rootsBySubtrees(leaves)
  paths = [[]]
  for (let size = 1; size <= SIZES; size++) {
    const some = leaves.slice(0, size)
    paths.push(await Promise.all(some.map((_, index) => merklePath(some, index))))
  }
})

describe('known values', () => {
  it('of roots', async () => {
    for (const [size, root] of KNOWN_ROOTS.entries())
      expect(toHex(await merkleRoot(known.slice(0, size)))).toBe(root)
  })

  it.each(KNOWN_PATHS)('of the path of leaf %i of %i', async (index, size, path) => {
    expect((await merklePath(known.slice(0, size), index)).map(toHex)).toEqual(path)
    const root = fromHex(KNOWN_ROOTS[size]!)
    const given = path.map((hash) => fromHex(hash))
    expect(await verifyInclusion(root, known[index]!, index, size, given)).toBe(true)
  })
})

describe('trees of up to forty leaves', () => {
  it('have the root that other arithmetic finds', async () => {
    for (let size = 1; size <= SIZES; size++)
      expect(await merkleRoot(leaves.slice(0, size))).toEqual(roots[size - 1])
  })

  it('include each of their leaves at its index, with its path, and nowhere else', async () => {
    for (let size = 1; size <= SIZES; size++) {
      const root = roots[size - 1]!
      for (let index = 0; index < size; index++) {
        const path = paths[size]![index]!
        const leaf = leaves[index]!
        const at = `leaf ${index} of ${size}`
        expect(await verifyInclusion(root, leaf, index, size, path), at).toBe(true)
        for (const other of [index - 1, index + 1, index ^ 2, size - 1 - index])
          if (other !== index)
            expect(await verifyInclusion(root, leaf, other, size, path), at).toBe(false)
        const stranger = leaves[(index + 1) % SIZES]!
        expect(await verifyInclusion(root, stranger, index, size, path), at).toBe(false)
      }
    }
  })

  it('have all their paths at once', async () => {
    for (let size = 0; size <= SIZES; size++) {
      const some = leaves.slice(0, size)
      const singly = await Promise.all(some.map((_, index) => merklePath(some, index)))
      expect(await merklePaths(some)).toEqual({ root: await merkleRoot(some), paths: singly })
    }
  })

  it('refuse paths of another length', async () => {
    for (let size = 1; size <= SIZES; size++)
      for (let index = 0; index < size; index++) {
        const path = paths[size]![index]!
        const leaf = leaves[index]!
        expect(await rootFromPath(leaf, index, size, [...path, leaf])).toBeUndefined()
        expect(await rootFromPath(leaf, index, size, [...path, ...path, leaf])).toBeUndefined()
        for (let length = 0; length < path.length; length++)
          expect(await rootFromPath(leaf, index, size, path.slice(0, length))).toBeUndefined()
      }
  })
})

describe('a path', () => {
  it('with any hash changed, missing or swapped leads elsewhere', async () => {
    const path = await merklePath(leaves, 21)
    const root = roots[SIZES - 1]!
    const verify = (given: Bytes[]) => verifyInclusion(root, leaves[21]!, 21, SIZES, given)
    expect(await verify(path)).toBe(true)
    for (let i = 0; i < path.length; i++) {
      const changed = path[i]!.slice()
      changed[31]! ^= 1
      expect(await verify(path.with(i, changed))).toBe(false)
      expect(await verify(path.toSpliced(i, 1))).toBe(false)
      if (i > 0) expect(await verify(path.with(i, path[i - 1]!).with(i - 1, path[i]!))).toBe(false)
    }
  })

  it('of no index of the tree leads nowhere', async () => {
    for (const [index, size] of [
      [0, 0],
      [1, 1],
      [-1, 4],
      [4, 4],
      [Number.NaN, 4],
      [0, -1],
    ] as const)
      expect(await rootFromPath(leaves[0]!, index, size, [])).toBeUndefined()
  })

  it('works beyond 32 bits', async () => {
    const size = 2 ** 52
    const path = Array.from({ length: 52 }, () => leaves[1]!)
    let root = leaves[0]!
    for (let bit = 0; bit < 52; bit++)
      root = bit === 40 ? await nodeHash(leaves[1]!, root) : await nodeHash(root, leaves[1]!)
    expect(await rootFromPath(leaves[0]!, 2 ** 40, size, path)).toEqual(root)
  })
})

describe('hashes', () => {
  it('of a leaf and of a node are told apart', async () => {
    const [left, right] = [leaves[0]!, leaves[1]!]
    expect(await nodeHash(left, right)).not.toEqual(
      await leafHash(Uint8Array.of(...left, ...right)),
    )
    expect(await nodeHash(left, right)).not.toEqual(await nodeHash(right, left))
  })

  it('are split at the largest power of two below the size', () => {
    expect([2, 3, 4, 5, 8, 9, 16, 17].map(split)).toEqual([1, 2, 2, 4, 4, 8, 8, 16])
  })
})
