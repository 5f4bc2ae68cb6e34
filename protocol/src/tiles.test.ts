// Tiles: the paths and widths of C2SP tlog-tiles, every proof read out of them against the tree itself, and tiles that
// were deleted, cut, swapped or altered.
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, concat, u32be } from './bytes.ts'
import { merkleConsistency, verifyConsistency } from './consistency.ts'
import { leafHash, merklePath, merkleRoot, nodeHash } from './merkle.ts'
import { parseTilePath, TILE_WIDTH, TileTree, tilePath, tileWidth } from './tiles.ts'

const damaged = expect.objectContaining({ code: 'log.damaged' })
const LEAVES = 66_200
let leaves: Bytes[]
/** Level 1 hashes by the naive road: one root for each 256 leaves. */
let above: Bytes[]

beforeAll(async () => {
  // Hashing is not what is tested, so most leaves share their hash.
  const some = await Promise.all(Array.from({ length: 300 }, (_, i) => leafHash(u32be(i))))
  leaves = Array.from({ length: LEAVES }, (_, i) => some[i < 300 ? i : 100 + (i % 200)]!)
  const known = new Map<number, Bytes>()
  above = []
  for (let n = 0; (n + 1) * TILE_WIDTH <= LEAVES; n++) {
    const kind = n < 2 ? n : 1000 + ((n * TILE_WIDTH) % 200)
    if (!known.has(kind))
      known.set(kind, await merkleRoot(leaves.slice(n * TILE_WIDTH, (n + 1) * TILE_WIDTH)))
    above.push(known.get(kind)!)
  }
})

/** Root of the first `size` leaves; the first 65,536 are hashed once, by way of level 1. */
async function rootOf(size: number): Promise<Bytes> {
  const whole = TILE_WIDTH ** 2
  if (size < whole) return merkleRoot(leaves.slice(0, size))
  const left = await merkleRoot(above.slice(0, TILE_WIDTH))
  return size === whole ? left : nodeHash(left, await merkleRoot(leaves.slice(whole, size)))
}

/** Tiles of the first `size` leaves, as a log lays them out in files. */
async function tilesOf(size: number): Promise<Map<string, Bytes>> {
  const files = new Map<string, Bytes>()
  const levels = [leaves.slice(0, size), above.slice(0, Math.floor(size / TILE_WIDTH))]
  if (levels[1]!.length >= TILE_WIDTH)
    levels.push([await merkleRoot(levels[1]!.slice(0, TILE_WIDTH))])
  for (const [level, hashes] of levels.entries())
    for (let index = 0; index * TILE_WIDTH < hashes.length; index++) {
      const tile = hashes.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH)
      files.set(tilePath({ level, index, width: tile.length }), concat(...tile))
    }
  return files
}

const sourceOf = (files: Map<string, Bytes>) => async (path: string) => {
  const tile = files.get(path)
  if (!tile) throw new Error(`no ${path}`)
  return tile
}

async function treeOf(size: number, edit: (files: Map<string, Bytes>) => void = () => {}) {
  const files = await tilesOf(size)
  edit(files)
  return TileTree.open(sourceOf(files), { root: await rootOf(size), size })
}

describe('a path', () => {
  it.each([
    [{ level: 0, index: 0, width: 256 }, 'tile/0/000'],
    [{ level: 1, index: 1_234_067, width: 256 }, 'tile/1/x001/x234/067'],
    [{ level: 63, index: 273, width: 112 }, 'tile/63/273.p/112'],
    [{ level: 0, index: 1000, width: 1 }, 'tile/0/x001/000.p/1'],
  ])('is that of C2SP: %o', (tile, path) => {
    expect(tilePath(tile)).toBe(path)
    expect(parseTilePath(path)).toEqual(tile)
  })

  it.each([
    'tile/entries/000',
    'tile/0/0',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/x000/001',
    'tile/0/001/000',
    'tile/0/x001',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/999',
    'tile/0/000.p/',
    'tile/0/000/',
    'tile/0/x009/x007/x199/x254/x740/992',
    'tile/0/000\n',
    '/tile/0/000',
    'tile/0/../000',
    'tile/0/%30',
    '',
  ])('has one spelling, which is not %j', (path) => {
    expect(parseTilePath(path)).toBeUndefined()
  })

  it('goes there and back, and no other text is one', () => {
    const tile = fc.record({
      level: fc.integer({ min: 0, max: 63 }),
      index: fc.integer({ min: 0, max: 2 ** 53 - 1 }),
      width: fc.integer({ min: 1, max: 256 }),
    })
    fc.assert(fc.property(tile, (t) => void expect(parseTilePath(tilePath(t))).toEqual(t)))
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (text) => {
        const parsed = parseTilePath(`tile/${text}`)
        if (parsed) expect(tilePath(parsed)).toBe(`tile/${text}`)
      }),
    )
  })

  it('has the widths of the example of a tree of 70,000', () => {
    expect(tileWidth(0, 272, 70_000)).toBe(256)
    expect(tileWidth(0, 273, 70_000)).toBe(112)
    expect(tileWidth(0, 274, 70_000)).toBe(0)
    expect(tileWidth(1, 0, 70_000)).toBe(256)
    expect(tileWidth(1, 1, 70_000)).toBe(17)
    expect(tileWidth(2, 0, 70_000)).toBe(1)
    expect(tileWidth(3, 0, 70_000)).toBe(0)
    expect([tileWidth(0, 0, 256), tileWidth(1, 0, 256)]).toEqual([256, 1])
  })
})

describe('a tree read from tiles', () => {
  it('proves what the tree itself proves', async () => {
    for (const size of [1, 2, 3, 7, 255, 256, 257, 300, 511, 512, 513, 1000]) {
      const tree = await treeOf(size)
      for (const index of new Set([0, 1, 200, 255, 256, size >> 1, size - 1]))
        if (index < size)
          expect(await tree.inclusion(index), `${index} of ${size}`).toEqual(
            await merklePath(leaves.slice(0, size), index),
          )
      for (const old of new Set([0, 1, 2, 128, 255, 256, 257, 512, size >> 1, size]))
        if (old <= size) {
          expect(await tree.consistency(old), `${old} of ${size}`).toEqual(
            await merkleConsistency(leaves.slice(0, size), old),
          )
          expect(await tree.root(old)).toEqual(await merkleRoot(leaves.slice(0, old)))
        }
    }
  })

  it('has three levels above 65,536 leaves', async () => {
    const tree = await treeOf(LEAVES)
    const newer = { root: await rootOf(LEAVES), size: LEAVES }
    for (const old of [1, 700, 65_536, 65_537, 66_000]) {
      const older = { root: await rootOf(old), size: old }
      expect(await verifyConsistency(older, newer, await tree.consistency(old))).toBe(true)
    }
  })

  it('of nothing is the root of nothing', async () => {
    expect(await (await treeOf(0)).consistency(0)).toEqual([])
  })

  it('has no leaf and no older tree beyond its size', async () => {
    const tree = await treeOf(5)
    for (const index of [-1, 5, 0.5, Number.NaN])
      expect(() => tree.inclusion(index)).toThrow(damaged)
    for (const old of [-1, 6, 0.5]) expect(() => tree.consistency(old)).toThrow(damaged)
  })
})

describe('tiles', () => {
  it('with any hash flipped are found out, at the edge and below it', async () => {
    const size = 600
    for (const [path, bytes] of await tilesOf(size))
      for (let at = 0; at < bytes.length; at += 32 * 37 + 5) {
        const altered = bytes.slice()
        altered[at]! ^= 1 << (at % 8)
        const read = async () => {
          const tree = await treeOf(size, (files) => files.set(path, altered))
          await tree.inclusion(Math.floor(at / 32) % size)
          await tree.consistency(300)
          await tree.consistency(5)
        }
        await expect(read(), `${path} at ${at}`).rejects.toThrow(damaged)
      }
  })

  it('of an old part are not believed by their level above', async () => {
    const tree = await treeOf(600, (files) => files.set('tile/0/000', files.get('tile/0/001')!))
    await expect(tree.consistency(5)).rejects.toThrow(/tile\/0\/000 does not hash to its place/)
  })

  it('cut, longer, or of another width are refused', async () => {
    const cut = (path: string, to: number) =>
      treeOf(600, (files) =>
        files.set(path, concat(files.get(path)!, new Uint8Array(99)).slice(0, to)),
      )
    await expect(cut('tile/0/002.p/88', 87 * 32)).rejects.toThrow(damaged)
    await expect(cut('tile/0/002.p/88', 88 * 32 + 1)).rejects.toThrow(damaged)
    await expect((await cut('tile/0/000', 8191)).consistency(5)).rejects.toThrow(damaged)
    await expect(
      treeOf(600, (files) => files.set('tile/1/000.p/2', new Uint8Array(0))),
    ).rejects.toThrow(damaged)
  })

  it('that are gone are an error, not another tree', async () => {
    for (const path of ['tile/0/002.p/88', 'tile/1/000.p/2'])
      await expect(treeOf(600, (files) => files.delete(path))).rejects.toThrow(`no ${path}`)
    const tree = await treeOf(600, (files) => files.delete('tile/0/000'))
    await expect(tree.inclusion(3)).rejects.toThrow('no tile/0/000')
  })

  it('of a shorter log do not stand for a longer one', async () => {
    const files = await tilesOf(500)
    const root = await merkleRoot(leaves.slice(0, 600))
    await expect(TileTree.open(sourceOf(files), { root, size: 600 })).rejects.toThrow()
    const shorter = { root, size: 500 }
    await expect(TileTree.open(sourceOf(files), shorter)).rejects.toThrow(damaged)
  })
})
