// C2SP tlog-tiles: where tiles lie, how wide they are, and how any proof is read out of them. A tile is taken for what
// it claims only after its hashes were led to the root of a checkpoint.
import { type Bytes, equal, sha256 } from './bytes.ts'
import {
  consistencySubtrees,
  inclusionSubtrees,
  type Subtree,
  type TreeHead,
} from './consistency.ts'
import { SealedError } from './errors.ts'
import { merkleRoot, nodeHash, split } from './merkle.ts'

export const TILE_WIDTH = 256
const HASH_BYTES = 32
export const MAX_TILE_BYTES = TILE_WIDTH * HASH_BYTES

/** `width` hashes of one level: of leaves at level 0, above that of whole tiles of the level below. */
export interface Tile {
  level: number
  index: number
  /** 256 for a full tile, 1 to 255 for a partial one. */
  width: number
}

/** `tile/<L>/<N>[.p/<W>]` ("Merkle Tree"). */
export function tilePath({ level, index, width }: Tile): string {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g)!
  const last = groups.pop()
  const partial = width === TILE_WIDTH ? '' : `.p/${width}`
  return `tile/${level}/${groups.map((group) => `x${group}/`).join('')}${last}${partial}`
}

const PATH = /^tile\/(0|[1-9]\d?)\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/

/** Parses the one spelling of a tile's path; undefined for anything else, entry bundles included. */
export function parseTilePath(path: string): Tile | undefined {
  const m = PATH.exec(path)
  if (!m) return undefined
  const index = Number(m[2]!.replace(/[x/]/g, ''))
  const tile = { level: Number(m[1]), index, width: m[3] ? Number(m[3]) : TILE_WIDTH }
  const isKnown =
    tile.level < 64 &&
    tile.width <= TILE_WIDTH &&
    Number.isSafeInteger(index) &&
    tilePath(tile) === path
  return isKnown ? tile : undefined
}

/** Width of a tile in a tree of `size` leaves, 0 where there is none ("Partial Tiles"). */
export function tileWidth(level: number, index: number, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level)
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH))
}

const damaged = (message: string) => new SealedError('log.damaged', `log: ${message}`)

/** Fetches the bytes at a tile's path; throws when there are none. */
export type TileSource = (path: string) => Promise<Uint8Array>

/** A tree read from tiles. What comes out of it is authenticated by the root given to `open`. */
export class TileTree {
  readonly size: number
  readonly #source: TileSource
  readonly #tiles = new Map<string, Promise<Bytes[]>>()

  private constructor(source: TileSource, size: number) {
    this.#source = source
    this.size = size
  }

  /** Throws `log.damaged` unless the tiles of the right edge hash to the root, or what `source` throws. */
  static async open(source: TileSource, { root, size }: TreeHead): Promise<TileTree> {
    const tree = new TileTree(source, size)
    if (!equal(await tree.#root({ start: 0, size }), root))
      throw damaged(`the tiles are not those of the checkpoint of size ${size}`)
    return tree
  }

  /** Inclusion path of a leaf in the tree of this size. */
  inclusion(index: number): Promise<Bytes[]> {
    if (!(Number.isSafeInteger(index) && index >= 0 && index < this.size))
      throw damaged(`leaf ${index} is not among ${this.size}`)
    return this.#roots(inclusionSubtrees(index, this.size))
  }

  /** Proof that the tree of `old` leaves was only appended to. */
  consistency(old: number): Promise<Bytes[]> {
    if (!(Number.isSafeInteger(old) && old >= 0 && old <= this.size))
      throw damaged(`a tree of ${old} leaves is not part of one of ${this.size}`)
    return this.#roots(consistencySubtrees(old, this.size))
  }

  /** Root of the first `old` leaves. */
  root(old: number): Promise<Bytes> {
    return this.#root({ start: 0, size: old })
  }

  #roots(subtrees: Subtree[]): Promise<Bytes[]> {
    return Promise.all(subtrees.map((subtree) => this.#root(subtree)))
  }

  async #root({ start, size }: Subtree): Promise<Bytes> {
    if (size === 0) return sha256(new Uint8Array(0))
    const height = Math.log2(size)
    if (Number.isInteger(height)) return this.#node(height, start / size)
    const left = split(size)
    return nodeHash(
      await this.#root({ start, size: left }),
      await this.#root({ start: start + left, size: size - left }),
    )
  }

  /** Hash of a complete subtree: one of a tile's hashes, or the root over some of them. */
  async #node(height: number, index: number): Promise<Bytes> {
    const count = 2 ** (height % 8)
    const first = index * count
    const tile = await this.#tile(Math.floor(height / 8), Math.floor(first / TILE_WIDTH))
    const at = first % TILE_WIDTH
    return merkleRoot(tile.slice(at, at + count))
  }

  #tile(level: number, index: number): Promise<Bytes[]> {
    const key = `${level}/${index}`
    let tile = this.#tiles.get(key)
    if (!tile) {
      tile = this.#load({ level, index, width: tileWidth(level, index, this.size) })
      this.#tiles.set(key, tile)
    }
    return tile
  }

  /** A full tile must hash to its place in the level above; partial ones were led to the root by `open`. */
  async #load(tile: Tile): Promise<Bytes[]> {
    const path = tilePath(tile)
    const bytes = await this.#source(path)
    if (tile.width === 0 || bytes.length !== tile.width * HASH_BYTES)
      throw damaged(`${path} holds ${bytes.length} bytes instead of ${tile.width} hashes`)
    const hashes = Array.from(
      { length: tile.width },
      (_, i) => new Uint8Array(bytes.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES)),
    )
    if (tile.width < TILE_WIDTH) return hashes
    const above = await this.#tile(tile.level + 1, Math.floor(tile.index / TILE_WIDTH))
    if (!equal(await merkleRoot(hashes), above[tile.index % TILE_WIDTH]!))
      throw damaged(`${path} does not hash to its place in the level above`)
    return hashes
  }
}
