// Reads the boot's event log for the attestation document: whole, bounded, once. It is frozen when the kernel takes
// over; whether it is true is for verifiers to judge.
import { open } from 'node:fs/promises'
import { type Bytes, MAX_EVENT_LOG, SealedError } from '@sealed/protocol'

/** Throws `config.invalid` when it cannot be read, is empty, or is longer than a document may carry. */
export async function readEventLog(path: string): Promise<Bytes> {
  const fail = (reason: string) => new SealedError('config.invalid', `tpm.event_log: ${reason}`)
  // The kernel gives such a file no size: it is read to its end, or to one byte too many.
  const bytes = new Uint8Array(MAX_EVENT_LOG + 1)
  let length = 0
  try {
    await using file = await open(path)
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = (await file.read(bytes, length, bytes.length - length)).bytesRead
  } catch (error) {
    throw fail(error instanceof Error ? error.message : 'cannot be read')
  }
  if (length === 0) throw fail(`${path} is empty`)
  if (length > MAX_EVENT_LOG) throw fail(`${path} is longer than ${MAX_EVENT_LOG} bytes`)
  return bytes.slice(0, length)
}
