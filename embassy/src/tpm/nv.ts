// NV indices of the embassy: counters that only rise, hash chains that only grow, plain reads.
// It never undefines an index: what a counter has reached must outlive every restart.
import { concat, SealedError } from '@sealed/protocol'
import { type NvPublic, nvDefine, nvExtend, nvIncrement, nvRead, nvReadPublic } from './commands.ts'
import { type Execute, TpmRefusal } from './link.ts'
import { RC } from './response-code.ts'

// TPMA_NV: OWNERWRITE | AUTHWRITE | OWNERREAD | AUTHREAD | NO_DA, and the type in bits 4 to 7.
const OURS = 0x02060006
const TYPE_MASK = 0xf0
const COUNTER = 0x10
const EXTEND = 0x40
const WRITTEN = 0x20000000

/** Every TPM takes at least this many bytes in one NV read. */
const CHUNK = 512

/** The public area of an index, or undefined where there is none. */
export async function findIndex(execute: Execute, index: number): Promise<NvPublic | undefined> {
  try {
    return await execute(nvReadPublic(index))
  } catch (error) {
    if (error instanceof TpmRefusal && error.responseCode === RC.handleOne) return undefined
    throw error
  }
}

async function defineIndex(execute: Execute, index: number, attributes: number, size: number) {
  const found = await findIndex(execute, index)
  if (!found) {
    await execute(nvDefine(index, attributes, size))
    return { attributes, size }
  }
  if ((found.attributes & ~WRITTEN) !== attributes || found.size !== size)
    throw new SealedError(
      'tpm.failed',
      `NV index ${hex(index)} exists with attributes ${hex(found.attributes)} and ${found.size} bytes, ` +
        `not as the embassy defines it: choose another index or remove this one`,
    )
  return found
}

/** Defines a counter, unless it is there, and raises it once so that it can be read. */
export async function defineCounter(execute: Execute, index: number): Promise<void> {
  const { attributes } = await defineIndex(execute, index, OURS | COUNTER, 8)
  // Also after a stop between the two commands: an index not yet written has no value.
  if ((attributes & WRITTEN) === 0) await execute(nvIncrement(index))
}

export async function readCounter(execute: Execute, index: number): Promise<bigint> {
  const bytes = await execute(nvRead(index, 0, 8))
  if (bytes.length !== 8)
    throw new SealedError('tpm.failed', `counter ${hex(index)} has ${bytes.length} bytes, not 8`)
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)
}

/** Defines a SHA-256 hash chain unless it is there; it starts at 32 zero bytes. */
export async function defineChain(execute: Execute, index: number): Promise<void> {
  await defineIndex(execute, index, OURS | EXTEND, 32)
}

export const extendIndex = (execute: Execute, index: number, data: Uint8Array): Promise<void> =>
  execute(nvExtend(index, data))

/** Whole content of an index; a chain that was never extended reads as its start, 32 zero bytes. */
export async function readIndex(execute: Execute, index: number): Promise<Uint8Array> {
  const found = await findIndex(execute, index)
  if (!found) throw new SealedError('tpm.failed', `NV index ${hex(index)} does not exist`)
  const { attributes, size } = found
  if ((attributes & TYPE_MASK) === EXTEND && (attributes & WRITTEN) === 0)
    return new Uint8Array(size)
  const parts: Uint8Array[] = []
  for (let at = 0; at < size; at += CHUNK)
    parts.push(await execute(nvRead(index, at, Math.min(CHUNK, size - at))))
  return concat(...parts)
}

const hex = (value: number) => `0x${(value >>> 0).toString(16)}`
