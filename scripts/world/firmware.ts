// What the software TPM's machine would have measured at its start, had it booted an image: PCR values and event log
// in the form of a confidential VM on GCE. It measures names, not code, and says so; nothing here proves anything.
import { createHash } from 'node:crypto'

/** One record of the log; without a digest it is that of the data. */
interface Event {
  readonly pcr: number
  readonly type: number
  readonly data: Buffer
  readonly digest?: Buffer
}

/** What a verifier's policy names for a machine that started so. */
export interface ReferenceImage {
  readonly name: string
  readonly version: string
  readonly pcrs: readonly { readonly digests: readonly string[]; readonly index: number }[]
  /** Digests of the boot applications: the unified kernel image, then its kernel. */
  readonly uki: readonly string[]
}

export interface Firmware {
  /** As `/sys/kernel/security/tpm0/binary_bios_measurements` would have it. */
  readonly log: Buffer
  /** SHA-256 digests to be extended, in order. */
  readonly extensions: readonly { readonly pcr: number; readonly digest: Buffer }[]
  readonly image: ReferenceImage
}

const TYPE = {
  noAction: 0x3,
  separator: 0x4,
  eventTag: 0x6,
  crtmVersion: 0x8,
  ipl: 0xd,
  nonHostInfo: 0x11,
  variable: 0x80000001,
  application: 0x80000003,
  partitions: 0x80000006,
  action: 0x80000007,
}
const SHA256 = 0x000b
/** Those that say which image was booted; 1, 5 and 7 differ from machine to machine. */
const PINNED_PCRS = [0, 4, 9, 11]
const GLOBAL_VARIABLE = Buffer.from('61dfe48bca93d211aa0d00e098032b8c', 'hex')
const LOADED_IMAGE_TAG = Buffer.from('ed223b8f1a000000', 'hex')

const sha256 = (...parts: (Buffer | string)[]) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
/** Stands where a part of a real image would be hashed. */
const pretended = (part: string) => sha256(`software TPM, no image was booted: ${part}`)
const wide = (text: string) => Buffer.from(text, 'utf16le')
const text = (value: string) => Buffer.from(value, 'latin1')
const u16 = (value: number) => Buffer.from([value & 255, value >>> 8])
const u32 = (value: number) => Buffer.concat([u16(value & 0xffff), u16(value >>> 16)])

/** The same at each start: version string, technology "none", no Secure Boot, a kernel image without extras. */
export function pretendedFirmware(): Firmware {
  const events = bootEvents()
  const extensions = events.map(({ pcr, data, digest }) => ({
    pcr,
    digest: digest ?? sha256(data),
  }))
  const pcrs = new Map<number, Buffer>()
  for (const { pcr, digest } of extensions)
    pcrs.set(pcr, sha256(pcrs.get(pcr) ?? Buffer.alloc(32), digest))
  return {
    log: Buffer.concat([header(), ...events.map(record)]),
    extensions,
    image: {
      name: 'software-tpm',
      pcrs: PINNED_PCRS.map((index) => ({ digests: [pcrs.get(index)!.toString('hex')], index })),
      uki: ['unified kernel image', 'kernel'].map((part) => pretended(part).toString('hex')),
      version: '1',
    },
  }
}

function bootEvents(): Event[] {
  const action = (pcr: number, data: string) => ({ pcr, type: TYPE.action, data: text(data) })
  const application = (part: string) => ({
    ...{ pcr: 4, type: TYPE.application, data: text(part), digest: pretended(part) },
  })
  // The stub measures a section's name with its final zero, then its content.
  const section = (name: string): Event[] =>
    [sha256(name, '\0'), pretended(name)].map((digest) => ({
      ...{ pcr: 11, type: TYPE.ipl, data: wide(`${name}\0`), digest },
    }))
  const tagged = (what: string) => ({
    ...{ pcr: 9, type: TYPE.eventTag, digest: pretended(what) },
    data: Buffer.concat([LOADED_IMAGE_TAG, text(`${what}\0`)]),
  })
  return [
    { pcr: 0, type: TYPE.crtmVersion, data: wide('GCE Virtual Firmware v2\0') },
    {
      pcr: 0,
      type: TYPE.nonHostInfo,
      data: Buffer.concat([text('GCE NonHostInfo\0'), Buffer.alloc(16)]),
    },
    { pcr: 7, type: TYPE.variable, data: variable('SecureBoot', Buffer.from([0])) },
    action(4, 'Calling EFI Application from Boot Option'),
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((pcr) => ({
      pcr,
      type: TYPE.separator,
      data: Buffer.alloc(4),
    })),
    { pcr: 5, type: TYPE.partitions, data: Buffer.concat([text('EFI PART'), Buffer.alloc(84)]) },
    application('unified kernel image'),
    ...['.linux', '.osrel', '.cmdline', '.initrd'].flatMap(section),
    application('kernel'),
    tagged('LOADED_IMAGE::LoadOptions'),
    tagged('Linux initrd'),
    action(5, 'Exit Boot Services Invocation'),
    action(5, 'Exit Boot Services Returned with Success'),
  ]
}

/** UEFI_VARIABLE_DATA: owner, lengths of name (in characters) and data, both. */
const variable = (name: string, data: Buffer) =>
  Buffer.concat([
    ...[GLOBAL_VARIABLE, u32(name.length), u32(0), u32(data.length), u32(0), wide(name), data],
  ])

/** The first record: which form the log has, and that its one bank is SHA-256. */
function header(): Buffer {
  const body = Buffer.concat([
    ...[text('Spec ID Event03\0'), u32(0), Buffer.from([0, 2, 0, 2])],
    ...[u32(1), u16(SHA256), u16(32), Buffer.from([0])],
  ])
  return Buffer.concat([u32(0), u32(TYPE.noAction), Buffer.alloc(20), u32(body.length), body])
}

const record = ({ pcr, type, data, digest }: Event) =>
  Buffer.concat([
    ...[u32(pcr), u32(type), u32(1), u16(SHA256), digest ?? sha256(data)],
    ...[u32(data.length), data],
  ])
