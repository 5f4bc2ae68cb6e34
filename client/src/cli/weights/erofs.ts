// A read-only file system (EROFS) of nothing but folders and files, so that a volume follows from names and contents
// alone, on whichever machine it is packed: all belong to root and are readable by everybody, times are zero, nothing is
// compressed and no feature of a later kernel is asked for.
import { SealedError } from '@sealed/protocol'

export const BLOCK = 4096
const MAGIC = 0xe0f5e1e2
const SUPERBLOCK = 1024
const SUPERBLOCK_BYTES = 128
const INODE_BYTES = 64
/** Inodes are numbered by 32 bytes from the beginning. */
const NUMBER_BYTES = 32
/** With fields of full width. */
const EXTENDED = 1
const ENTRY_BYTES = 12
const [REGULAR, FOLDER] = [1, 2]
const [FILE_MODE, FOLDER_MODE] = [0o100444, 0o040555]
const VOLUME_NAME = 'sealed-weights'
const MOST_NAME_BYTES = 255
const MOST_BLOCKS = 2 ** 32 - 1

export interface SourceFile {
  /** Names from the volume's root down to the file's own. */
  path: readonly string[]
  bytes: number
}

export interface Layout {
  /** All that comes before the first file's contents. */
  head: Uint8Array
  /** In the order in which their contents follow, each from a block of its own. */
  files: SourceFile[]
  /** Of the whole. */
  blocks: number
}

interface Node {
  name: Uint8Array
  index: number
  parent: Node | undefined
  file: SourceFile | undefined
  children: Node[]
  /** Where its contents begin, and how long they are. */
  block: number
  bytes: number
}

/** Lays the files out. @throws SealedError `config.invalid` for names that no file system has, or too much of them */
export function layOut(files: readonly SourceFile[]): Layout {
  const root = treeOf(files)
  const nodes = [...walk(root)]
  for (const [index, node] of nodes.entries()) node.index = index
  let at = blocksOf(SUPERBLOCK + SUPERBLOCK_BYTES + nodes.length * INODE_BYTES)
  const place = (node: Node, bytes: number) => {
    node.bytes = bytes
    node.block = bytes === 0 ? 0 : at
    at += blocksOf(bytes)
  }
  const folders = nodes.filter(({ file }) => file === undefined)
  const tables = folders.map(tableOf)
  for (const [i, folder] of folders.entries()) place(folder, tables[i]!.length)
  const headBlocks = at
  const inOrder = nodes.filter(({ file }) => file !== undefined)
  for (const node of inOrder) place(node, node.file!.bytes)
  if (at > MOST_BLOCKS) throw invalid(`more than ${MOST_BLOCKS} blocks of ${BLOCK} bytes`)

  const head = new Uint8Array(headBlocks * BLOCK)
  head.set(superblock(nodes.length, at), SUPERBLOCK)
  for (const node of nodes) head.set(inode(node), numberOf(node) * NUMBER_BYTES)
  for (const [i, { block }] of folders.entries()) head.set(tables[i]!, block * BLOCK)
  return { head, files: inOrder.map(({ file }) => file!), blocks: at }
}

export const blocksOf = (bytes: number): number => Math.ceil(bytes / BLOCK)
const numberOf = ({ index }: Node) =>
  (SUPERBLOCK + SUPERBLOCK_BYTES + index * INODE_BYTES) / NUMBER_BYTES

function treeOf(files: readonly SourceFile[]): Node {
  const root = nodeOf('', undefined)
  const folders = new Map<string, Node>([['', root]])
  for (const file of files) {
    let parent = root
    for (const [depth, name] of file.path.entries()) {
      const last = depth === file.path.length - 1
      const key = file.path.slice(0, depth + 1).join('/')
      const known = folders.get(key)
      if (known && last) throw invalid(`${key} stands twice`)
      if (known?.file) throw invalid(`${key} is a file and a folder`)
      const node = known ?? nodeOf(name, parent)
      if (!known) {
        parent.children.push(node)
        folders.set(key, node)
      }
      if (last) node.file = file
      parent = node
    }
  }
  for (const { children } of folders.values())
    children.sort((a, b) => Buffer.compare(a.name, b.name))
  return root
}

function nodeOf(name: string, parent: Node | undefined): Node {
  const bytes = Buffer.from(name)
  const good = parent === undefined || !/^(?:\.{0,2})$|[/\0]/.test(name)
  if (!good || bytes.length > MOST_NAME_BYTES)
    throw invalid(`${JSON.stringify(name)} is no name of a file: 1 to ${MOST_NAME_BYTES} bytes`)
  return { name: bytes, parent, index: 0, file: undefined, children: [], block: 0, bytes: 0 }
}

function* walk(node: Node): Generator<Node> {
  yield node
  for (const child of node.children) yield* walk(child)
}

/** A folder's entries: blocks of fixed records, names behind them; over all blocks the names rise byte by byte. */
function tableOf(folder: Node): Uint8Array {
  const entries = [
    { name: Buffer.from('.'), node: folder },
    { name: Buffer.from('..'), node: folder.parent ?? folder },
    ...folder.children.map((node) => ({ name: node.name, node })),
  ].sort((a, b) => Buffer.compare(a.name, b.name))
  const blocks: (typeof entries)[] = [[]]
  let room = BLOCK
  for (const entry of entries) {
    const bytes = ENTRY_BYTES + entry.name.length
    if (bytes > room) {
      blocks.push([])
      room = BLOCK
    }
    room -= bytes
    blocks.at(-1)!.push(entry)
  }
  const table = new Uint8Array(blocks.length * BLOCK - room)
  const fields = new DataView(table.buffer)
  for (const [i, block] of blocks.entries()) {
    let nameAt = block.length * ENTRY_BYTES
    for (const [j, { name, node }] of block.entries()) {
      const at = i * BLOCK + j * ENTRY_BYTES
      fields.setBigUint64(at, BigInt(numberOf(node)), true)
      fields.setUint16(at + 8, nameAt, true)
      fields.setUint8(at + 10, node.file ? REGULAR : FOLDER)
      table.set(name, i * BLOCK + nameAt)
      nameAt += name.length
    }
  }
  return table
}

function superblock(inodes: number, blocks: number): Uint8Array {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES)
  const fields = new DataView(bytes.buffer)
  fields.setUint32(0, MAGIC, true)
  fields.setUint8(12, Math.log2(BLOCK))
  // The root's number; it is the first inode.
  fields.setUint16(14, (SUPERBLOCK + SUPERBLOCK_BYTES) / NUMBER_BYTES, true)
  fields.setBigUint64(16, BigInt(inodes), true)
  fields.setUint32(36, blocks, true)
  bytes.set(Buffer.from(VOLUME_NAME), 64)
  return bytes
}

function inode({ index, file, children, block, bytes }: Node): Uint8Array {
  const out = new Uint8Array(INODE_BYTES)
  const fields = new DataView(out.buffer)
  fields.setUint16(0, EXTENDED, true)
  fields.setUint16(4, file ? FILE_MODE : FOLDER_MODE, true)
  fields.setBigUint64(8, BigInt(bytes), true)
  fields.setUint32(16, block, true)
  fields.setUint32(20, index + 1, true)
  const folders = children.filter((child) => child.file === undefined).length
  fields.setUint32(44, file ? 1 : 2 + folders, true)
  return out
}

const invalid = (message: string) => new SealedError('config.invalid', `weights: ${message}`)
