// A firmware's voice for tests: event logs in the binary form, and the PCR values that such a boot leaves. Written
// from the format, not from the parser: digests are computed here a second time.
import { type Bytes, concat, fromHex, sha256, utf8 } from '../bytes.ts'

export const le16 = (value: number): Bytes => Uint8Array.of(value & 255, value >> 8)
export const le32 = (value: number): Bytes =>
  Uint8Array.of(value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24)

/** One event; without a digest it is that of the data. */
export interface LoggedEvent {
  pcr: number
  type: number
  data: Uint8Array
  digest?: Uint8Array
}

export const NO_ACTION = 3
export const SEPARATOR = 4
export const IPL = 13
export const APPLICATION = 0x80000003
export const DRIVER = 0x80000004
export const GPT = 0x80000006
export const ACTION = 0x80000007
export const UKI = 'a4'.repeat(32)
export const KERNEL = 'a5'.repeat(32)
export const NOTHING = new Uint8Array(4)

/** An application as firmware logs it: the Authenticode digest, and data that says nothing of it. */
export const application = (digest: string, pcr = 4): LoggedEvent => ({
  pcr,
  type: APPLICATION,
  data: utf8('a device path'),
  digest: fromHex(digest),
})

/** What a confidential VM of GCE with a unified kernel image logs; `technology` as the firmware's byte. */
export function bootEvents(technology = 4): LoggedEvent[] {
  const version = utf8('GCE Virtual Firmware v2\0')
  const machine = Uint8Array.of(technology, ...new Uint8Array(15))
  const measured = (pcr: number, type: number, text: string) => ({
    ...{ pcr, type, data: utf8(text), digest: new Uint8Array(32).fill(text.length + pcr) },
  })
  return [
    { pcr: 0, type: NO_ACTION, data: utf8('SP800-155 Event3 and a manifest') },
    { pcr: 0, type: 8, data: concat(...[...version].map((byte) => Uint8Array.of(byte, 0))) },
    { pcr: 0, type: 17, data: concat(utf8('GCE NonHostInfo\0'), machine) },
    { pcr: 7, type: 0x80000001, data: utf8('SecureBoot') },
    measured(1, 0x80000002, 'BootOrder'),
    { pcr: 4, type: ACTION, data: utf8('Calling EFI Application from Boot Option') },
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((pcr) => ({ pcr, type: SEPARATOR, data: NOTHING })),
    { pcr: 5, type: GPT, data: utf8('EFI PART and the partitions') },
    application(UKI),
    measured(11, IPL, '.linux'),
    measured(11, IPL, '.cmdline'),
    application(KERNEL),
    measured(9, 6, 'LoadOptions'),
    measured(9, 6, 'initrd'),
    { pcr: 5, type: ACTION, data: utf8('Exit Boot Services Invocation') },
  ]
}

/** What may be odd in a log's first record; what is left out is as firmware writes it. */
export interface LogHeader {
  signature?: string
  algorithms?: [algorithm: number, size: number][]
  vendor?: Uint8Array
  pcr?: number
  type?: number
  digest?: Uint8Array
  platform?: number
  version?: [minor: number, major: number]
  wordSize?: number
  /** Bytes after the record's own end, within its stated size. */
  rest?: Uint8Array
}

/** SHA-1, SHA-256 and SHA-384, as GCE logs them. */
const BANKS: [number, number][] = [
  [4, 20],
  [11, 32],
  [12, 48],
]

export async function logBytes(
  events: readonly LoggedEvent[],
  header: LogHeader = {},
): Promise<Bytes> {
  const { algorithms = BANKS, vendor = new Uint8Array(0), version = [0, 2] } = header
  const body = concat(
    ...[utf8(header.signature ?? 'Spec ID Event03\0'), le32(header.platform ?? 0)],
    ...[Uint8Array.of(...version, 3, header.wordSize ?? 2), le32(algorithms.length)],
    ...algorithms.flatMap(([algorithm, size]) => [le16(algorithm), le16(size)]),
    ...[Uint8Array.of(vendor.length), vendor, header.rest ?? new Uint8Array(0)],
  )
  const first = concat(
    ...[le32(header.pcr ?? 0), le32(header.type ?? NO_ACTION)],
    ...[header.digest ?? new Uint8Array(20), le32(body.length), body],
  )
  return concat(first, ...(await Promise.all(events.map((event) => eventBytes(event, algorithms)))))
}

async function eventBytes(event: LoggedEvent, banks: [number, number][]): Promise<Bytes> {
  const silent = event.type === NO_ACTION
  const digest = event.digest ?? (silent ? new Uint8Array(32) : await sha256(event.data))
  const digests = banks.map(([algorithm, size]) =>
    concat(le16(algorithm), algorithm === 11 ? digest : new Uint8Array(size).fill(silent ? 0 : 7)),
  )
  return concat(
    ...[le32(event.pcr), le32(event.type), le32(banks.length), ...digests],
    ...[le32(event.data.length), event.data],
  )
}

/** The PCRs after such a boot, over those given. */
export async function measure(
  events: readonly LoggedEvent[],
  pcrs: Map<number, Bytes>,
): Promise<void> {
  for (const { pcr, type, data, digest } of events)
    if (type !== NO_ACTION)
      pcrs.set(
        pcr,
        await sha256(pcrs.get(pcr) ?? new Uint8Array(32), digest ?? (await sha256(data))),
      )
}
