// What the embassy has to do with disks for weights: which devices there are, what stands at a place of one, what is
// mapped and mounted; and dmsetup, mount and umount. Nothing here decides anything.
import { constants, open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Run, run } from '../state-disk/run.ts'

export interface Device {
  /** `/dev/vdb1` */
  path: string
  bytes: number
}

export interface Mapping {
  name: string
  uuid: string
}

export interface Mount {
  path: string
  type: string
  options: readonly string[]
  /** Of the device behind it, where that is a mapped one. */
  mapping: Mapping | undefined
}

export interface World {
  readonly run: Run
  /** Whether this process may map devices; `absent` where the kernel cannot. */
  control(): Promise<'open' | 'forbidden' | 'absent'>
  /** Disks and partitions; not what is mapped. */
  devices(): Promise<Device[]>
  /** Undefined where it cannot be read. */
  read(device: string, offset: number, length: number): Promise<Uint8Array | undefined>
  /** With the node that the kernel makes: others (/dev/mapper/…) are udev's, which not every machine has. */
  mappings(): Promise<(Mapping & { device: string })[]>
  /** Of this process's view, in the order in which they were mounted. */
  mounts(): Promise<Mount[]>
}

const SECTOR = 512
const CONTROL = '/dev/mapper/control'
const BLOCK_CLASS = '/sys/class/block'

export const realWorld: World = {
  run,

  async control() {
    try {
      await (await open(CONTROL, constants.O_RDWR)).close()
      return 'open'
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      return code === 'EPERM' || code === 'EACCES' ? 'forbidden' : 'absent'
    }
  },

  async devices() {
    const devices: Device[] = []
    for (const name of await readdir(BLOCK_CLASS)) {
      const sectors = Number(await attribute(join(BLOCK_CLASS, name, 'size')))
      const mapped = await mappingAt(join(BLOCK_CLASS, name))
      if (sectors > 0 && !mapped) devices.push({ path: `/dev/${name}`, bytes: sectors * SECTOR })
    }
    return devices
  },

  async read(device, offset, length) {
    try {
      const file = await open(device)
      try {
        const { bytesRead, buffer } = await file.read(new Uint8Array(length), 0, length, offset)
        return bytesRead === length ? buffer : undefined
      } finally {
        await file.close()
      }
    } catch {
      return undefined
    }
  },

  async mappings() {
    const found = await Promise.all(
      (await readdir(BLOCK_CLASS)).map(async (name) => {
        const mapping = await mappingAt(join(BLOCK_CLASS, name))
        return mapping && { ...mapping, device: `/dev/${name}` }
      }),
    )
    return found.filter((mapping) => mapping !== undefined)
  },

  async mounts() {
    const lines = (await readFile('/proc/self/mountinfo', 'utf8')).trim().split('\n')
    return Promise.all(
      lines.map(async (line) => {
        const { device, ...mount } = parseMount(line)
        return { ...mount, mapping: await mappingAt(join('/sys/dev/block', device)) }
      }),
    )
  },
}

/** A line of mountinfo (proc(5)); options are those of the mount and of the file system. */
export function parseMount(line: string): Omit<Mount, 'mapping'> & { device: string } {
  const [before = '', behind = ''] = line.split(' - ')
  const [, , device = '', , path = '', options = ''] = before.split(' ')
  const [type = '', , more = ''] = behind.split(' ')
  return {
    ...{ device, type, options: [...options.split(','), ...more.split(',')] },
    path: path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    ),
  }
}

async function mappingAt(directory: string): Promise<Mapping | undefined> {
  const name = await attribute(join(directory, 'dm/name'))
  if (name === undefined) return undefined
  return { name, uuid: (await attribute(join(directory, 'dm/uuid'))) ?? '' }
}

const attribute = async (path: string): Promise<string | undefined> =>
  (await readFile(path, 'utf8').catch(() => undefined))?.trim()
