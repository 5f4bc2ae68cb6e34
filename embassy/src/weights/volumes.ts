// Weights volumes: found on whatever disks are attached, opened under dm-verity, mounted read-only. A disk is known by
// nothing that it says of itself: the volume is the one whose tree ends in the root hash that was measured, and every
// block of it is held against that tree by the kernel when it is read. One that is not so is an error to whoever reads it
// (EIO), never other bytes.
//
// What this is worth, against an operator who holds the machine's disks: he can take a volume away, or spoil it, and then
// nothing is computed. He can read it: a volume is not encrypted.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Code,
  dataBlocks,
  SealedError,
  sha256Hex,
  toHex,
  VERITY_BLOCK,
  weightsSalt,
} from '@sealed/protocol'
import { ToolFailure } from '../state-disk/run.ts'
import type { Mount, World } from './world.ts'

const OPTIONS = ['ro', 'nodev', 'nosuid', 'noexec'] as const
const SECTORS_IN_BLOCK = VERITY_BLOCK / 512

export interface Place {
  /** Of the instance. */
  id: string
  /** Below it a directory for each volume, named by its root hash. */
  directory: string
}

interface Found {
  device: string
  blocks: number
  salt: string
}

export class Volumes {
  readonly #world: World
  readonly #place: Place
  readonly #wanted: readonly string[]

  constructor(world: World, place: Place, wanted: readonly string[]) {
    this.#world = world
    this.#place = place
    this.#wanted = [...new Set(wanted)]
  }

  /** Where the volume of this root hash is mounted once `open` has resolved. */
  pathOf(rootHash: string): string {
    return join(this.#place.directory, rootHash)
  }

  /**
   * Whether all of them can be opened, or are already; leaves everything as it is.
   * @throws SealedError `config.invalid` naming what is missing, `launch.unavailable` where that is the disk
   */
  async look(): Promise<void> {
    for (const rootHash of await this.#missing()) {
      await this.#insistOnControl(rootHash)
      await this.#find(rootHash)
    }
  }

  /** Opens what is not open, of a life of before too. @throws SealedError as `look` */
  async open(): Promise<void> {
    for (const rootHash of await this.#missing()) {
      await this.#insistOnControl(rootHash)
      await this.#release(rootHash)
      await explain(rootHash, () => this.#map(rootHash))
    }
    const [missing] = await this.#missing()
    if (missing !== undefined)
      throw unavailable(missing, `what is mounted at ${this.pathOf(missing)} is something else`)
  }

  /** Closes every volume of this instance, or all but the wanted ones; where others open them, nothing is done. */
  async close(keep: 'none' | 'wanted' = 'none'): Promise<void> {
    if ((await this.#world.control()) !== 'open') return
    const prefix = this.#nameOf('')
    for (const { name } of await this.#world.mappings()) {
      if (!name.startsWith(prefix)) continue
      const rootHash = name.slice(prefix.length)
      if (keep === 'none' || !this.#wanted.includes(rootHash)) await this.#release(rootHash)
    }
  }

  /** Of the wanted ones: those that are not mounted as they should be. */
  async #missing(): Promise<string[]> {
    if (this.#wanted.length === 0) return []
    const mounts = await this.#world.mounts()
    return this.#wanted.filter((rootHash) => {
      const top = mounts.findLast(({ path }) => path === this.pathOf(rootHash))
      return !(top && this.#isRight(top, rootHash))
    })
  }

  #isRight({ mapping, options, type }: Mount, rootHash: string): boolean {
    return (
      type === 'erofs' &&
      OPTIONS.every((option) => options.includes(option)) &&
      mapping?.name === this.#nameOf(rootHash) &&
      mapping.uuid === uuidOf(rootHash)
    )
  }

  async #insistOnControl(rootHash: string): Promise<void> {
    const control = await this.#world.control()
    if (control === 'absent')
      throw unavailable(
        rootHash,
        'this machine has no device mapper (/dev/mapper/control does not open), without which nothing holds a volume against its root hash: load the modules dm_mod, dm_verity and erofs, or take a kernel that has them; else put the weights into the image',
      )
    if (control === 'forbidden')
      throw unavailable(
        rootHash,
        'it is not mounted, and this process may not map devices: what sealed-weights.service says tells why',
      )
  }

  async #map(rootHash: string): Promise<void> {
    const { run } = this.#world
    const { device, blocks, salt } = await this.#find(rootHash)
    const name = this.#nameOf(rootHash)
    const sizes = `${VERITY_BLOCK} ${VERITY_BLOCK} ${blocks} ${blocks}`
    const table = `0 ${blocks * SECTORS_IN_BLOCK} verity 1 ${device} ${device} ${sizes} sha256 ${rootHash} ${salt}`
    const as = ['--readonly', '--uuid', uuidOf(rootHash)]
    await run(['dmsetup', 'create', name, ...as, '--table', table])
    try {
      const path = this.pathOf(rootHash)
      await mkdir(path, { recursive: true, mode: 0o711 })
      const mapped = (await this.#world.mappings()).find((mapping) => mapping.name === name)
      if (!mapped) throw unavailable(rootHash, `dmsetup has made no ${name}`)
      await run(['mount', '-t', 'erofs', '-o', OPTIONS.join(','), mapped.device, path])
    } catch (error) {
      await this.#release(rootHash).catch(() => undefined)
      throw error
    }
  }

  /** The first device whose tree has this root; another with the same one is as good. */
  async #find(rootHash: string): Promise<Found> {
    const looked: string[] = []
    for (const { bytes, path } of await this.#world.devices()) {
      const blocks = dataBlocks(bytes)
      if (blocks === undefined) continue
      looked.push(path)
      const top = await this.#world.read(path, blocks * VERITY_BLOCK, VERITY_BLOCK)
      const salt = await weightsSalt(blocks)
      if (top && (await sha256Hex(salt, top)) === rootHash)
        return { device: path, blocks, salt: toHex(salt) }
    }
    throw unavailable(
      rootHash,
      `no disk that is attached holds it (looked at: ${looked.join(', ') || 'none that could'}): attach the one that sealed weights pack made of it`,
      'launch.unavailable',
    )
  }

  async #release(rootHash: string): Promise<void> {
    const name = this.#nameOf(rootHash)
    for (const { path } of await this.#world.mounts())
      if (path === this.pathOf(rootHash)) await this.#world.run(['umount', path])
    if ((await this.#world.mappings()).some((mapping) => mapping.name === name))
      await this.#world.run(['dmsetup', 'remove', '--retry', name])
  }

  #nameOf(rootHash: string): string {
    return `sealed-${this.#place.id}-weights-${rootHash}`
  }
}

const uuidOf = (rootHash: string) => `SEALED-WEIGHTS-${rootHash}`

async function explain(rootHash: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (error instanceof SealedError && !(error instanceof ToolFailure)) throw error
    throw unavailable(rootHash, (error as Error).message)
  }
}

const unavailable = (rootHash: string, why: string, code: Code = 'config.invalid') =>
  new SealedError(code, `weights volume ${rootHash}: ${why}`)
