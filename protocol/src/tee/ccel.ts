// The event log of a TD (CCEL), read to the last byte: the TCG's form with SHA-384, register 1 to 4 for RTMR0 to 3. Like
// every log it is text without a signature: what counts is that its digests lead to the RTMRs of a signed quote.
import { type Bytes, concat } from '../bytes.ts'
import { SealedError } from '../errors.ts'
import {
  EVENT,
  type LogForm,
  MAX_EVENT_LOG,
  MAX_EVENTS,
  readLogEvent,
  readLogHeader,
} from '../event-log.ts'
import { TpmReader } from '../tpm-reader.ts'

/** Register 0 is MRTD, which nothing extends once the TD runs. */
const RTMRS: LogForm = { first: 1, registers: 5, bank: 0x000c }

const bad = (message: string) => new SealedError('evidence.invalid', `TD event log: ${message}`)

/** The four RTMRs that the log leads to, and how many events did. Throws `evidence.invalid`. */
export async function replayCcel(bytes: Uint8Array): Promise<{ events: number; rtmrs: Bytes[] }> {
  if (bytes.length > MAX_EVENT_LOG) throw bad(`more than ${MAX_EVENT_LOG} bytes`)
  const r = new TpmReader(bytes, 'little')
  const algorithms = readLogHeader(r, RTMRS)
  const rtmrs = Array.from({ length: 4 }, () => new Uint8Array(48) as Bytes)
  let events = 0
  for (let count = 0; r.left > 0; count++) {
    if (count === MAX_EVENTS) throw bad(`more than ${MAX_EVENTS} events`)
    const { pcr, type, digest } = readLogEvent(r, algorithms, RTMRS)
    const before = rtmrs[pcr - 1]
    if (!before) throw bad('speaks of a register that nothing extends')
    if (type === EVENT.noAction) continue
    const extended = await crypto.subtle.digest('SHA-384', concat(before, digest))
    rtmrs[pcr - 1] = new Uint8Array(extended)
    events += 1
  }
  return { events, rtmrs }
}

/** What of a log's table is written: firmware fills what is behind the last record with ones. Throws `evidence.invalid`. */
export function unpaddedCcel(table: Uint8Array): Bytes {
  const r = new TpmReader(table, 'little')
  const algorithms = readLogHeader(r, RTMRS)
  for (;;) {
    const end = table.length - r.left
    if (table.subarray(end).every((byte) => byte === 0xff)) return table.slice(0, end) as Bytes
    readLogEvent(r, algorithms, RTMRS)
  }
}
