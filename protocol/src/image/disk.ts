// A disk image, read only as far as it is measured: its partition table (GPT), the one file that firmware starts in the
// EFI system partition (FAT32), and the root behind it. Pure: where the bytes come from is the caller's.
import { toHex } from '../bytes.ts'
import { SealedError } from '../errors.ts'

/** Reads `length` bytes at `offset`; fails where there are fewer. */
export type ReadDisk = (offset: number, length: number) => Promise<Uint8Array>

export interface Partition {
  name: string
  /** Type, as its sixteen bytes stand on the disk, hex. */
  type: string
  /** In bytes. */
  offset: number
  length: number
}

const SECTOR = 512
const MAX_ENTRIES = 128
const ESP_TYPE = '28732ac11ff8d211ba4b00a0c93ec93b'
const BOOT_PATH = ['EFI', 'BOOT', 'BOOTX64.EFI']
/** Largest unified kernel image that is read. */
const MAX_FILE = 256 * 1024 * 1024

export const badDisk = (message: string) => new SealedError('evidence.invalid', `disk: ${message}`)

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export async function partitionsOf(read: ReadDisk): Promise<Partition[]> {
  const header = await read(SECTOR, SECTOR)
  if (new TextDecoder().decode(header.subarray(0, 8)) !== 'EFI PART')
    throw badDisk('no GUID partition table')
  const start = Number(view(header).getBigUint64(72, true))
  const count = view(header).getUint32(80, true)
  const size = view(header).getUint32(84, true)
  if (count > MAX_ENTRIES || size < 128 || size > 4096)
    throw badDisk('a partition table of another form')
  const table = await read(start * SECTOR, count * size)
  return Array.from({ length: count }, (_, i) => table.subarray(i * size, (i + 1) * size))
    .filter((entry) => entry.subarray(0, 16).some((byte) => byte !== 0))
    .map((entry) => {
      const first = Number(view(entry).getBigUint64(32, true))
      const last = Number(view(entry).getBigUint64(40, true))
      const name = new TextDecoder('utf-16le').decode(entry.subarray(56, 128)).replace(/\0.*$/s, '')
      return {
        ...{ name, type: toHex(entry.subarray(0, 16)) },
        ...{ offset: first * SECTOR, length: (last - first + 1) * SECTOR },
      }
    })
}

/** The program that firmware starts from this disk; throws where the disk has another than one system partition. */
export async function bootProgram(read: ReadDisk): Promise<Uint8Array> {
  const systems = (await partitionsOf(read)).filter(({ type }) => type === ESP_TYPE)
  if (systems.length !== 1) throw badDisk(`${systems.length} EFI system partitions, one must be`)
  const { offset } = systems[0]!
  return readFat(read, offset, BOOT_PATH)
}

interface Fat {
  read: ReadDisk
  clusterBytes: number
  /** Offset of cluster 2. */
  data: number
  /** Successor of each cluster. */
  table: DataView
}

async function readFat(
  read: ReadDisk,
  offset: number,
  path: readonly string[],
): Promise<Uint8Array> {
  const boot = view(await read(offset, SECTOR))
  const sector = boot.getUint16(11, true)
  const tableSectors = boot.getUint32(36, true)
  if (boot.getUint16(510) !== 0x55aa || sector !== SECTOR || tableSectors === 0)
    throw badDisk('the EFI system partition is not FAT32')
  const reserved = boot.getUint16(14, true)
  const fat: Fat = {
    read,
    clusterBytes: boot.getUint8(13) * sector,
    data: offset + (reserved + boot.getUint8(16) * tableSectors) * sector,
    table: view(await read(offset + reserved * sector, tableSectors * sector)),
  }
  let cluster = boot.getUint32(44, true)
  for (const [depth, name] of path.entries()) {
    const entry = entryOf(await readChain(fat, cluster, MAX_FILE), name)
    if (!entry)
      throw badDisk(`the EFI system partition has no ${path.slice(0, depth + 1).join('/')}`)
    if (depth === path.length - 1)
      return (await readChain(fat, entry.cluster, entry.size)).subarray(0, entry.size)
    cluster = entry.cluster
  }
  throw badDisk('no path')
}

/** The clusters of a file or folder, up to `bytes`. */
async function readChain(fat: Fat, first: number, bytes: number): Promise<Uint8Array> {
  const clusters: number[] = []
  const most = Math.ceil(Math.min(bytes, MAX_FILE) / fat.clusterBytes)
  for (let cluster = first; cluster >= 2 && cluster < 0x0ffffff8 && clusters.length < most; ) {
    clusters.push(cluster)
    if (4 * cluster + 4 > fat.table.byteLength) throw badDisk('a file that leads out of its table')
    cluster = fat.table.getUint32(4 * cluster, true) & 0x0fffffff
  }
  const content = new Uint8Array(clusters.length * fat.clusterBytes)
  for (const [i, cluster] of clusters.entries())
    content.set(
      await fat.read(fat.data + (cluster - 2) * fat.clusterBytes, fat.clusterBytes),
      i * fat.clusterBytes,
    )
  return content
}

const ENTRY = 32
const LONG_NAME = 0x0f

/** An entry of a folder by its short name. */
function entryOf(folder: Uint8Array, name: string): { cluster: number; size: number } | undefined {
  const [stem = '', suffix = ''] = name.split('.')
  const short = stem.padEnd(8) + suffix.padEnd(3)
  for (let at = 0; at + ENTRY <= folder.length && folder[at] !== 0; at += ENTRY) {
    const entry = folder.subarray(at, at + ENTRY)
    if (entry[11] === LONG_NAME || String.fromCharCode(...entry.subarray(0, 11)) !== short) continue
    const fields = view(entry)
    return {
      cluster: fields.getUint16(20, true) * 0x10000 + fields.getUint16(26, true),
      size: fields.getUint32(28, true),
    }
  }
  return undefined
}
