// A volume as a file that becomes a disk: a partition table, the file system, behind it its hash tree. Written in two
// passes: contents, then hashes over what was written.
import { type FileHandle, link, lstat, open, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  dataBlocks,
  equal,
  fromUtf8,
  type Partition,
  partitionsOf,
  SealedError,
  toHex,
  VERITY_BLOCK,
  verityTree,
  weightsSalt,
} from '@sealed/protocol'
import { refuseExisting, sync } from '../new-file.ts'
import { BLOCK, blocksOf, layOut, type SourceFile } from './erofs.ts'
import { NAME, tableAround, VOLUME_START } from './gpt.ts'

const CHUNK = 1024 * 1024
const BLOCKS_IN_CHUNK = CHUNK / VERITY_BLOCK

export type Progress = (doing: string, done: number, all: number) => void

export interface Packed {
  root_hash: string
  /** Of data and tree: the partition's. */
  bytes: number
  files: number
}

/** Packs the files below `directory` into a new file. @throws SealedError `config.invalid` for what cannot be packed */
export async function packVolume(
  directory: string,
  path: string,
  progress: Progress = () => {},
): Promise<Packed> {
  await refuseExisting(path)
  const found = await filesBelow(directory, [])
  if (found.length === 0) throw invalid(`there is no file in ${directory}`)
  const { blocks, files, head } = layOut(found)
  const part = `${path}.part`
  await rm(part, { force: true })
  const disk = await open(part, 'wx+', 0o600)
  try {
    await writeAt(disk, head, VOLUME_START)
    let at = VOLUME_START + head.length
    for (const file of files) {
      progress('writing', at - VOLUME_START, blocks * BLOCK)
      await copyInto(disk, at, join(directory, ...file.path), file.bytes)
      at += blocksOf(file.bytes) * BLOCK
    }
    // What the last file leaves of its block has to be there before it is read.
    await disk.truncate(VOLUME_START + blocks * BLOCK)
    const { levels, root } = await hash(disk, VOLUME_START, blocks, progress)
    for (const level of levels) {
      await writeAt(disk, level, at)
      at += level.length
    }
    const root_hash = toHex(root)
    const bytes = at - VOLUME_START
    const table = tableAround(bytes, root_hash)
    await writeAt(disk, table.head, 0)
    await writeAt(disk, table.tail, table.diskBytes - table.tail.length)
    await disk.sync()
    await link(part, path)
    await sync(dirname(path))
    return { root_hash, bytes, files: files.length }
  } finally {
    await disk.close()
    await rm(part, { force: true })
  }
}

/** Hashes a packed volume anew. @throws SealedError `evidence.invalid` where it is none, or its tree is another's */
export async function measureVolume(
  path: string,
  progress: Progress = () => {},
): Promise<Omit<Packed, 'files'>> {
  const disk = await open(path)
  try {
    const { offset, length: bytes } = await partition(disk)
    const blocks = dataBlocks(bytes)
    if (blocks === undefined) throw bad(`no volume has ${bytes} bytes`)
    const { levels, root } = await hash(disk, offset, blocks, progress)
    let at = offset + blocks * BLOCK
    for (const level of levels) {
      for (let from = 0; from < level.length; from += CHUNK) {
        const stored = await readAt(disk, at + from, Math.min(CHUNK, level.length - from))
        if (!equal(stored, level.subarray(from, from + CHUNK)))
          throw bad(
            `its data has the root hash ${toHex(root)}, and the hash tree behind it is another’s: a machine would read errors`,
          )
      }
      at += level.length
    }
    return { root_hash: toHex(root), bytes }
  } finally {
    await disk.close()
  }
}

async function partition(disk: FileHandle): Promise<Partition> {
  const found = await partitionsOf((offset, length) => readAt(disk, offset, length))
  const [only, ...more] = found.filter(({ name }) => name === NAME)
  if (!only || more.length > 0)
    throw bad(`${found.length} partitions, of which one must be named ${NAME}`)
  return only
}

async function hash(disk: FileHandle, offset: number, blocks: number, progress: Progress) {
  let chunk = { index: -1, bytes: Promise.resolve(new Uint8Array()) }
  const block = async (index: number) => {
    const wanted = Math.floor(index / BLOCKS_IN_CHUNK)
    if (chunk.index !== wanted) {
      const from = wanted * BLOCKS_IN_CHUNK
      progress('hashing', from, blocks)
      const length = Math.min(BLOCKS_IN_CHUNK, blocks - from) * BLOCK
      chunk = { index: wanted, bytes: readAt(disk, offset + from * BLOCK, length) }
    }
    const at = (index % BLOCKS_IN_CHUNK) * BLOCK
    return (await chunk.bytes).subarray(at, at + BLOCK)
  }
  return verityTree(block, blocks, await weightsSalt(blocks))
}

/** Files alone, and folders that hold some: what else there is would be read as something else, or left out unsaid. */
async function filesBelow(directory: string, above: readonly string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = []
  for (const entry of await readdir(directory, { withFileTypes: true, encoding: 'buffer' })) {
    const name = nameOf(entry.name, directory)
    const path = [...above, name]
    if (entry.isDirectory()) files.push(...(await filesBelow(join(directory, name), path)))
    else if (!entry.isFile())
      throw invalid(
        `${join(directory, name)} is neither a file nor a folder; of a link, give what it leads to (cp -rL makes such a copy)`,
      )
    else files.push({ path, bytes: (await lstat(join(directory, name))).size })
  }
  return files
}

function nameOf(name: Buffer, directory: string): string {
  try {
    return fromUtf8(name)
  } catch {
    throw invalid(`${directory} has a name that is not UTF-8: ${JSON.stringify(name.toString())}`)
  }
}

async function copyInto(disk: FileHandle, at: number, path: string, bytes: number): Promise<void> {
  const file = await open(path)
  try {
    for (let from = 0; from < bytes; from += CHUNK) {
      const part = new Uint8Array(Math.min(CHUNK, bytes - from))
      const { bytesRead } = await file.read(part, 0, part.length, from)
      if (bytesRead !== part.length) throw changed(path)
      await writeAt(disk, part, at + from)
    }
    if ((await file.read(new Uint8Array(1), 0, 1, bytes)).bytesRead !== 0) throw changed(path)
  } finally {
    await file.close()
  }
}

async function writeAt(disk: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let from = 0; from < bytes.length; ) {
    const length = Math.min(CHUNK, bytes.length - from)
    const { bytesWritten } = await disk.write(bytes, from, length, at + from)
    from += bytesWritten
  }
}

async function readAt(
  disk: FileHandle,
  at: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length)
  for (let from = 0; from < length; ) {
    const { bytesRead } = await disk.read(bytes, from, length - from, at + from)
    if (bytesRead === 0) throw bad('cut short')
    from += bytesRead
  }
  return bytes
}

const changed = (path: string) => invalid(`${path} changed while it was read: pack once more`)
const invalid = (message: string) => new SealedError('config.invalid', `weights: ${message}`)
const bad = (message: string) => new SealedError('evidence.invalid', `weights volume: ${message}`)
