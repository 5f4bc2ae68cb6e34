// What attackers do to a disk, and what anybody can ask of one.
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { type Partition, partitionsOf } from '../../protocol/src/image/disk.ts'
import { REPOSITORY } from '../../scripts/instance/paths.ts'

/** Runs `sealed`; its output, both ways, is one text. */
export function sealed(args: readonly string[]): { code: number; text: string } {
  const main = join(REPOSITORY, 'client', 'bin', 'sealed.ts')
  const { status, stderr, stdout } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
  })
  return { code: status!, text: `${stdout}${stderr}` }
}

/** Offset and length, in bytes, of the partition of this name. */
export async function partitionOf(disk: string, name: string): Promise<Partition> {
  const file = await open(disk)
  try {
    const partitions = await partitionsOf(async (offset, length) => {
      const { buffer } = await file.read(new Uint8Array(length), 0, length, offset)
      return buffer
    })
    const found = partitions.find((partition) => partition.name === name)
    if (!found) throw new Error(`${disk} has no partition ${name}`)
    return found
  } finally {
    await file.close()
  }
}

/** Where a text stands in a disk as it is. */
export function offsetOf(disk: string, text: string): number {
  const offset = readFileSync(disk).indexOf(text)
  if (offset < 0) throw new Error(`${disk} does not hold “${text}” uncompressed`)
  return offset
}

export function turnBit(disk: string, offset: number): void {
  const file = openSync(disk, 'r+')
  const byte = new Uint8Array(1)
  readSync(file, byte, 0, 1, offset)
  byte[0]! ^= 1
  writeSync(file, byte, 0, 1, offset)
  closeSync(file)
}
