// The TCG event log of a boot (PC Client Platform Firmware Profile, crypto-agile form), read to the last byte: what
// was extended into which PCR. A log is text without a signature; it must never be believed beyond the digests that
// replay to quoted PCRs, nor in type and data where the digest is not the data's own.
import { type Bytes, equal, fromHex, sha256, utf8 } from './bytes.ts'
import { SealedError } from './errors.ts'
import { TpmReader } from './tpm-reader.ts'

/** Bytes of a log, and events in it: ten times what is seen on GCE. */
export const MAX_EVENT_LOG = 262_144
export const MAX_EVENTS = 2048

export const EVENT = {
  noAction: 0x3,
  separator: 0x4,
  crtmVersion: 0x8,
  ipl: 0xd,
  nonHostInfo: 0x11,
  eventTag: 0x6,
  efiApplication: 0x80000003,
  efiGpt: 0x80000006,
  efiAction: 0x80000007,
} as const

const SHA256 = 0x000b
/** Digest sizes of the algorithms that a log may list: SHA-1, SHA-256, SHA-384, SHA-512, SM3. */
const SIZES = new Map([
  [0x0004, 20],
  [SHA256, 32],
  [0x000c, 48],
  [0x000d, 64],
  [0x0012, 32],
])
/** What tells the logs of one kind of register from those of another. */
export interface LogForm {
  /** Register that the first record names, and how many registers there are, from 0. */
  first: number
  registers: number
  bank: number
}
const PCRS: LogForm = { first: 0, registers: 24, bank: SHA256 }
const SPEC_ID = utf8('Spec ID Event03\0')
const STARTUP_LOCALITY = utf8('StartupLocality\0')
/** What a separator may hold, and no other event: SHA-256 of four bytes 00 and of four bytes ff. */
const SEPARATORS = [
  'df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119',
  'ad95131bc0b799c0b1af477fb14fcf26a6a9f76079e48bf090acb7e8367bfd0e',
].map((digest) => fromHex(digest))

const bad = (message: string) => new SealedError('evidence.invalid', `event log: ${message}`)

export interface LogEvent {
  pcr: number
  type: number
  /** SHA-256 digest extended into the PCR. */
  digest: Bytes
  data: Bytes
  /** Whether the digest is that of the data: only then is the data more than a remark. The type always is one. */
  believed: boolean
}

export interface EventLog {
  /** What was extended, in order; events that extend nothing are left out. */
  events: LogEvent[]
  /** Last byte of PCR 0 before its first extension. */
  startupLocality: number
}

/** Parses a log; throws `evidence.invalid` on one of SHA-1 only, or that tells what no firmware does. */
export async function parseEventLog(bytes: Uint8Array): Promise<EventLog> {
  if (bytes.length > MAX_EVENT_LOG) throw bad(`more than ${MAX_EVENT_LOG} bytes`)
  const r = new TpmReader(bytes, 'little')
  const algorithms = readLogHeader(r, PCRS)
  const extended: Omit<LogEvent, 'believed'>[] = []
  let startupLocality: number | undefined
  for (let count = 0; r.left > 0; count++) {
    if (count === MAX_EVENTS) throw bad(`more than ${MAX_EVENTS} events`)
    const event = readLogEvent(r, algorithms, PCRS)
    if (event.type !== EVENT.noAction) {
      extended.push(event)
    } else if (equal(event.data.subarray(0, STARTUP_LOCALITY.length), STARTUP_LOCALITY)) {
      if (event.pcr !== 0 || startupLocality !== undefined || extended.some(({ pcr }) => pcr === 0))
        throw bad('startup locality is not told once, before PCR 0 is extended')
      startupLocality = localityOf(event.data)
    }
  }
  const digests = await Promise.all(extended.map(({ data }) => sha256(data)))
  const events = extended.map((event, i) => ({
    ...event,
    believed: equal(event.digest, digests[i]!),
  }))
  for (const event of events) checkSeparator(event)
  return { events, startupLocality: startupLocality ?? 0 }
}

/** The PCR values that the log leads to: every PCR that it speaks of. */
export async function replayEventLog(log: EventLog): Promise<Map<number, Bytes>> {
  const indices = new Set(log.events.map(({ pcr }) => pcr))
  if (log.startupLocality > 0) indices.add(0)
  const values = [...indices].map(async (index) => {
    let value: Bytes = initialValue(index, log.startupLocality)
    for (const { pcr, digest } of log.events) if (pcr === index) value = await sha256(value, digest)
    return [index, value] as const
  })
  return new Map(await Promise.all(values))
}

/** Zeros; the PCRs of a dynamic launch start at ones, and PCR 0 at the locality that started the TPM. */
function initialValue(pcr: number, startupLocality: number): Bytes {
  const value = new Uint8Array(32).fill(pcr >= 17 && pcr <= 22 ? 0xff : 0)
  if (pcr === 0) value[31] = startupLocality
  return value
}

/** Reads the first record, in the SHA-1 form, and returns the digest sizes of the log by algorithm. */
export function readLogHeader(r: TpmReader, form: LogForm): Map<number, number> {
  if (r.u32() !== form.first || r.u32() !== EVENT.noAction)
    throw bad('does not begin as the crypto-agile form does (of SHA-1 only?)')
  if (r.take(20).some((byte) => byte !== 0)) throw bad('its specification has a digest')
  const size = r.u32()
  if (size > 256) throw bad('its specification is too long')
  const head = new TpmReader(r.take(size), 'little')
  if (!equal(head.take(16), SPEC_ID)) throw bad('of SHA-1 only: not the crypto-agile form')
  if (head.u32() > 1) throw bad('of an unknown platform class')
  if (head.u8() !== 0 || head.u8() !== 2) throw bad('of another version than 2.0')
  head.u8() // Errata: says nothing about the form.
  if (![1, 2].includes(head.u8())) throw bad('of an unknown word size')
  const count = head.u32()
  if (count < 1 || count > SIZES.size) throw bad(`lists ${count} digest algorithms`)
  const algorithms = new Map<number, number>()
  for (let i = 0; i < count; i++) {
    const algorithm = head.u16()
    const known = SIZES.get(algorithm)
    if (known === undefined || known !== head.u16() || algorithms.has(algorithm))
      throw bad(`digest algorithm ${algorithm} is unknown, of another size, or listed twice`)
    algorithms.set(algorithm, known)
  }
  if (!algorithms.has(form.bank)) throw bad('has no digests of the bank that is quoted')
  head.take(head.u8())
  head.end()
  return algorithms
}

/** Reads one event, with its digest for the bank that is quoted. One that extends nothing has none in any bank. */
export function readLogEvent(
  r: TpmReader,
  algorithms: ReadonlyMap<number, number>,
  { bank, registers }: LogForm,
) {
  const pcr = r.u32()
  if (pcr >= registers) throw bad(`speaks of PCR ${pcr}`)
  const type = r.u32()
  if (r.u32() !== algorithms.size) throw bad('an event lacks a digest, or has one too many')
  const digests = new Map<number, Bytes>()
  for (let i = 0; i < algorithms.size; i++) {
    const algorithm = r.u16()
    const size = algorithms.get(algorithm)
    if (size === undefined || digests.has(algorithm))
      throw bad(`an event has a digest of algorithm ${algorithm} twice or unannounced`)
    digests.set(algorithm, r.take(size))
  }
  if (type === EVENT.noAction && [...digests.values()].some((digest) => digest.some(Boolean)))
    throw bad('an event that extends nothing has a digest')
  return { pcr, type, digest: digests.get(bank)!, data: r.take(r.u32()) }
}

/** A separator must be one, and nothing else may look like one: else a log could move the end of the firmware's part. */
function checkSeparator({ type, digest, believed }: LogEvent): void {
  const separates = SEPARATORS.some((known) => equal(digest, known))
  if (type === EVENT.separator && !(separates && believed))
    throw bad('a separator holds something else, or tells of an error')
  if (type !== EVENT.separator && separates) throw bad('an event has a separator’s digest')
}

function localityOf(data: Bytes): number {
  const [locality, ...more] = data.subarray(STARTUP_LOCALITY.length)
  if (locality === undefined || more.length > 0 || ![0, 3, 4].includes(locality))
    throw bad('startup locality is none of 0, 3 and 4')
  return locality
}
