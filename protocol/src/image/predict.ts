// What a machine's PCRs hold once it has started a unified kernel image and nothing else: predicted from the file, by
// the rules of the firmware (TCG PC Client Platform Firmware Profile), systemd's stub and the kernel's own EFI stub.
import { type Bytes, concat, sha256, toHex, utf8 } from '../bytes.ts'
import { SealedError } from '../errors.ts'
import { authenticodeDigest, type PeFile, parsePe } from './pe.ts'

/** Sections that the stub measures into PCR 11, in its order: the name with its zero, then the content. */
const MEASURED_SECTIONS = [
  ...['.linux', '.osrel', '.cmdline', '.initrd', '.ucode', '.splash', '.dtb', '.uname', '.sbat'],
  ...['.pcrpkey', '.profile', '.dtbauto', '.hwids'],
]
const ACTION = utf8('Calling EFI Application from Boot Option')
const SEPARATOR = new Uint8Array(4)
const ZERO = new Uint8Array(32)

export interface UkiMeasurements {
  /** Authenticode digests, hex: of the image, then of the kernel in it, which firmware measures without Secure Boot. */
  uki: [string, string]
  /** Values by PCR, hex. PCR 4 as most machines have it, then as GCE's TDX firmware leaves it. */
  pcrs: { index: number; digests: string[] }[]
  /** The kernel's command line. */
  commandLine: string
}

/** @throws SealedError `evidence.invalid` where a part is missing */
export async function measureUki(file: Uint8Array): Promise<UkiMeasurements> {
  const pe = parsePe(file)
  const kernel = parsePe(partOf(pe, '.linux'))
  const digests = [await authenticodeDigest(pe), await authenticodeDigest(kernel)] as const
  const commandLine = new TextDecoder('utf-8', { fatal: true }).decode(partOf(pe, '.cmdline'))
  const boot = [await sha256(ACTION), await sha256(SEPARATOR)]
  const pcr4 = await Promise.all([
    replay([...boot, digests[0]]),
    replay([...boot, ...digests]),
    // GCE's TDX firmware logs boot applications in PCR 2.
    replay(boot),
  ])
  return {
    commandLine,
    pcrs: [
      { digests: pcr4.map(toHex), index: 4 },
      { digests: [toHex(await kernelStub(commandLine, partOf(pe, '.initrd')))], index: 9 },
      { digests: [toHex(await stub(pe))], index: 11 },
      { digests: [toHex(ZERO)], index: 12 },
    ],
    uki: [toHex(digests[0]), toHex(digests[1])],
  }
}

/** The kernel's own stub, into PCR 9: the command line as it was passed on, then the initial file system. */
async function kernelStub(commandLine: string, initrd: Uint8Array): Promise<Bytes> {
  const wide = new Uint8Array(2 * commandLine.length + 2)
  const view = new DataView(wide.buffer)
  for (let i = 0; i < commandLine.length; i++)
    view.setUint16(2 * i, commandLine.charCodeAt(i), true)
  return replay([await sha256(wide), await sha256(initrd)])
}

async function stub(pe: PeFile): Promise<Bytes> {
  const events: Bytes[] = []
  for (const name of MEASURED_SECTIONS) {
    const section = pe.sections.find((section) => section.name === name)
    if (!section) continue
    events.push(await sha256(utf8(`${name}\0`)), await sha256(section.content))
  }
  return replay(events)
}

function partOf({ sections }: PeFile, name: string): Uint8Array {
  const found = sections.filter((section) => section.name === name)
  if (found.length !== 1)
    throw new SealedError(
      'evidence.invalid',
      `unified kernel image: ${found.length} sections are named ${name}, one must be`,
    )
  return found[0]!.content
}

/** A PCR that was zero, after these extensions. */
export async function replay(digests: readonly Uint8Array[]): Promise<Bytes> {
  let value: Bytes = ZERO
  for (const digest of digests) value = await sha256(concat(value, digest))
  return value
}
