// Reference values of a disk image: what a machine that starts from it will have measured, down to the last byte of the
// root. Everything is recomputed from the disk; nothing that the disk says about itself is believed.
import { equal, fromHex, toHex } from '../bytes.ts'
import type { Image } from '../policy.ts'
import { badDisk, bootProgram, partitionsOf, type ReadDisk } from './disk.ts'
import { measureUki } from './predict.ts'
import { BLOCK, verityRootHash } from './verity.ts'

export type { ReadDisk } from './disk.ts'

const ROOT = 'sealed-root'

export interface MeasuredDisk {
  /** For a policy's `images`. */
  image: Omit<Image, 'name' | 'version'>
  command_line: string
  root_hash: string
  /** Of a TDX machine that starts from it. */
  rtmr2: string
}

/** @throws SealedError `evidence.invalid` where the root is not what the command line says, or a part is missing */
export async function measureDisk(
  read: ReadDisk,
  progress: (done: number, all: number) => void = () => {},
): Promise<MeasuredDisk> {
  const { commandLine, rtmr2, ...image } = await measureUki(await bootProgram(read))
  const setting = (name: string, form: RegExp) => {
    const values = commandLine.split(' ').filter((word) => word.startsWith(`${name}=`))
    const value = values[0]?.slice(name.length + 1)
    if (values.length !== 1 || value === undefined || !form.test(value))
      throw badDisk(`the command line does not name one ${name}`)
    return value
  }
  const blocks = Number(setting('sealed.root_blocks', /^[1-9][0-9]{0,8}$/))
  const hash = setting('sealed.root_hash', /^[0-9a-f]{64}$/)
  const salt = fromHex(setting('sealed.root_salt', /^[0-9a-f]{64}$/))
  const roots = (await partitionsOf(read)).filter(({ name }) => name === ROOT)
  if (roots.length !== 1) throw badDisk(`${roots.length} partitions are named ${ROOT}, one must be`)
  const { offset, length } = roots[0]!
  if (blocks * BLOCK > length) throw badDisk('a root larger than its partition')
  const block = (index: number) => {
    if (index % 1024 === 0) progress(index, blocks)
    return read(offset + index * BLOCK, BLOCK)
  }
  const found = await verityRootHash(block, blocks, salt)
  if (!equal(found, fromHex(hash)))
    throw badDisk(
      `its root has the hash ${toHex(found)}, and the command line says ${hash}: the machine would stop at it`,
    )
  return { command_line: commandLine, image, root_hash: hash, rtmr2 }
}
