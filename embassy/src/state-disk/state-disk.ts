// Brings the state partition up: makes it where the device is empty, opens it where it is ours, and touches nothing
// else. Never formats twice: what does not open stays as it is, and the error says what to do.
//
// What this is worth, against an operator who holds the machine:
//   He can boot another system, or an old image of ours, on the same TPM, with the TPM's owner password (empty), and
//   write the disk at will. Another system's PCRs are not approved. An old image's are, for its own security version
//   and lower ones only; the state is under the highest that ever opened it, and the keys of before ended with the
//   counter. The counter cannot be set back by any command; to remove or to raise it destroys the state.
//   He can destroy the state. He can copy it and put back an old copy of its data under the same header: the embassy
//   holds its database against the TPM for that. He sees which blocks were ever written.
//   Whoever runs the TPM itself (a cloud's host) reads the key and sets the counter as he likes. Whoever has the policy
//   key approves what he likes. A state that a broken image held may have lost its key then: an image that must not
//   take such states over is approved for its own security version alone.

import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SealedError } from '@sealed/protocol'
import type { Execute } from '../tpm/link.ts'
import { openKey, sealFirst } from './custody.ts'
import { HEADER_BYTES, isEmpty, readHeader, writeHeader } from './device.ts'
import {
  closeDevice,
  createHeader,
  KEY_BYTES,
  openDevice,
  readSealedKey,
  writeSealedKey,
} from './luks.ts'
import { type Run, ToolFailure } from './run.ts'
import type { Image, SealedKey } from './sealed-key.ts'

export interface StateDisk {
  readonly device: string
  /** Where it is mounted; made when it is not there. */
  readonly mount: string
  /** The mapping's name below `mapper`. */
  readonly name: string
  /** A directory in memory for the header, made and emptied here. */
  readonly runtime: string
}

export interface World {
  readonly run: Run
  /** Has the TPM to itself while the job lasts. */
  readonly tpm: <T>(job: (execute: Execute) => Promise<T>) => Promise<T>
  /** Where mappings appear: /dev/mapper. */
  readonly mapper: string
}

/** @throws SealedError `state.disk` (not ours, or broken) or `state.locked` (the TPM does not open it) */
export async function bringUp(
  world: World,
  disk: StateDisk,
  image: Image,
): Promise<'made' | 'opened'> {
  await mkdir(disk.runtime, { recursive: true, mode: 0o700 })
  const file = join(disk.runtime, 'header')
  try {
    const header = await readHeader(disk.device)
    await writeFile(file, header, { mode: 0o600 })
    const sealed = await readSealedKey(world.run, file)
    if (sealed) return await open(world, disk, image, file, sealed)
    if (isEmpty(header)) return await make(world, disk, image, file)
    throw new SealedError(
      'state.disk',
      `${disk.device} is neither empty (its first MiB is not zero) nor a state partition. Nothing was written; ` +
        'attach the state disk of this machine, or an empty one',
    )
  } finally {
    await rm(file, { force: true })
  }
}

async function open(
  world: World,
  disk: StateDisk,
  image: Image,
  file: string,
  sealed: SealedKey,
): Promise<'opened'> {
  const { run } = world
  const keep = async (next: SealedKey) => {
    await writeSealedKey(run, file, next)
    await writeHeader(disk.device, await readFile(file))
  }
  const key = await world.tpm((execute) => openKey(execute, image, sealed, keep))
  await mapped(world, disk, file, key, async (path) => {
    await check(run, path)
    await mount(run, path, disk.mount)
  })
  return 'opened'
}

/** The header goes to the disk last: until then the device is empty, and the next start begins anew. */
async function make(world: World, disk: StateDisk, image: Image, file: string): Promise<'made'> {
  const { run } = world
  const key = randomBytes(KEY_BYTES)
  const sealed = await world.tpm((execute) => sealFirst(execute, image, key))
  await writeFile(file, new Uint8Array(HEADER_BYTES), { mode: 0o600 })
  await createHeader(run, file, disk.device, key)
  await writeSealedKey(run, file, sealed)
  await mapped(world, disk, file, key, async (path) => {
    await format(run, path)
    await writeHeader(disk.device, await readFile(file))
    await mount(run, path, disk.mount)
  })
  return 'made'
}

/** Maps the device for `job`; what fails inside leaves no mapping. The key is gone from our memory afterwards. */
async function mapped(
  { run, mapper }: World,
  { device, name }: StateDisk,
  file: string,
  key: Uint8Array,
  job: (path: string) => Promise<void>,
): Promise<void> {
  try {
    await openDevice(run, file, device, name, key)
  } finally {
    key.fill(0)
  }
  try {
    await job(join(mapper, name))
  } catch (error) {
    await closeDevice(run, name).catch(() => undefined)
    throw error
  }
}

/** Without the discard of the whole device that it would begin with. */
const format = (run: Run, path: string) =>
  run(['mke2fs', '-q', '-t', 'ext4', '-O', 'metadata_csum', '-E', 'nodiscard', path])

/** Mends what can be mended without asking. */
async function check(run: Run, path: string): Promise<void> {
  try {
    await run(['e2fsck', '-p', path])
  } catch (error) {
    // 1: there were errors, and they were mended.
    if (!(error instanceof ToolFailure) || error.exitCode !== 1) throw error
  }
}

async function mount(run: Run, path: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o700 })
  // Not noexec: workloads' images lie there, and their programs are started from it, in containers only.
  await run(['mount', '-t', 'ext4', '-o', 'nodev,nosuid,noatime', path, target])
}
