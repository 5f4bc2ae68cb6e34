// The hash tree of dm-verity (format 1, SHA-256, blocks of 4096 bytes): recomputed over a root's blocks, up to the root
// hash that the kernel's command line names. The tree that lies on the disk is not looked at: it is only a cache of this.
import { type Bytes, sha256 } from '../bytes.ts'

export const BLOCK = 4096
const HASH = 32
const AT_ONCE = 256

/** Answers with block `index` of what is verified. */
export type ReadBlock = (index: number) => Promise<Uint8Array>

export async function verityRootHash(
  readBlock: ReadBlock,
  blocks: number,
  salt: Uint8Array,
): Promise<Bytes> {
  let level = await hashAll(readBlock, blocks, salt)
  while (level.length > BLOCK) {
    const below = level
    const next = (index: number) =>
      Promise.resolve(below.subarray(index * BLOCK, (index + 1) * BLOCK))
    level = await hashAll(next, below.length / BLOCK, salt)
  }
  return sha256(salt, level)
}

/** The hashes of all blocks, filled up with zeros to whole blocks. */
async function hashAll(
  readBlock: ReadBlock,
  blocks: number,
  salt: Uint8Array,
): Promise<Uint8Array> {
  const hashes = new Uint8Array(Math.ceil((blocks * HASH) / BLOCK) * BLOCK)
  for (let from = 0; from < blocks; from += AT_ONCE) {
    const indices = Array.from({ length: Math.min(AT_ONCE, blocks - from) }, (_, i) => from + i)
    const digests = await Promise.all(indices.map(async (i) => sha256(salt, await readBlock(i))))
    for (const [i, digest] of digests.entries()) hashes.set(digest, (from + i) * HASH)
  }
  return hashes
}
