// The first 4 MiB of the state partition: read once into memory, written back in an order that any stop leaves readable.
import { constants, open } from 'node:fs/promises'
import { SealedError } from '@sealed/protocol'

const MIB = 1 << 20
/** Two copies of the metadata of 1 MiB each, the key slot in the third, the fourth is spare; then the data. */
export const HEADER_BYTES = 4 * MIB

/** @throws SealedError `state.disk` when the device is absent or too small */
export async function readHeader(device: string): Promise<Uint8Array> {
  const file = await open(device, 'r').catch((cause: Error) => {
    throw new SealedError('state.disk', `${device}: ${cause.message}`, { cause })
  })
  try {
    const out = new Uint8Array(HEADER_BYTES)
    for (let at = 0; at < HEADER_BYTES; ) {
      const { bytesRead } = await file.read(out, at, HEADER_BYTES - at, at)
      if (bytesRead === 0)
        throw new SealedError('state.disk', `${device} has ${at} bytes: it is no state partition`)
      at += bytesRead
    }
    return out
  } finally {
    await file.close()
  }
}

/** Nothing was ever written here: no other content is ever overwritten. */
export const isEmpty = (header: Uint8Array): boolean =>
  header.subarray(0, MIB).every((byte) => byte === 0)

/**
 * What is written one after the other, each on the disk before the next: from the back to the front, key slot, second
 * copy of the metadata, first copy. A new header that was cut off leaves the device empty or with a good second copy,
 * which is as good as a first; one that replaces another leaves either of them.
 */
export const steps = (header: Uint8Array): { at: number; bytes: Uint8Array }[] =>
  [3, 2, 1, 0].map((mib) => ({
    at: mib * MIB,
    bytes: header.subarray(mib * MIB, (mib + 1) * MIB),
  }))

export async function writeHeader(device: string, header: Uint8Array): Promise<void> {
  // Never creates: a device that is gone must not become a file.
  const file = await open(device, constants.O_WRONLY)
  try {
    for (const { at, bytes } of steps(header)) {
      const { bytesWritten } = await file.write(bytes, 0, bytes.length, at)
      if (bytesWritten !== bytes.length)
        throw new SealedError('state.disk', `${device} took ${bytesWritten} of ${MIB} bytes`)
      await file.datasync()
    }
  } finally {
    await file.close()
  }
}
