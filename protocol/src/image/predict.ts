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
  /**
   * SHA-384 register 2 of a TDX machine, hex: what goes into PCRs 8 to 15 elsewhere, in its order (TCG's mapping for
   * confidential computing). Computed by the same rules; unlike the PCRs it has not been held against a machine.
   */
  rtmr2: string
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
  const [stub, kernelStub] = [stubEvents(pe), kernelEvents(commandLine, partOf(pe, '.initrd'))]
  const pcr = async (events: readonly Uint8Array[]) =>
    toHex(await replay(await Promise.all(events.map((event) => sha256(event)))))
  return {
    commandLine,
    pcrs: [
      { digests: pcr4.map(toHex), index: 4 },
      { digests: [await pcr(kernelStub)], index: 9 },
      { digests: [await pcr(stub)], index: 11 },
      { digests: [toHex(ZERO)], index: 12 },
    ],
    rtmr2: toHex(await replayRtmr([...stub, ...kernelStub])),
    uki: [toHex(digests[0]), toHex(digests[1])],
  }
}

/** The kernel's own stub, into PCR 9: the command line as it was passed on, then the initial file system. */
function kernelEvents(commandLine: string, initrd: Uint8Array): Uint8Array[] {
  const wide = new Uint8Array(2 * commandLine.length + 2)
  const view = new DataView(wide.buffer)
  for (let i = 0; i < commandLine.length; i++)
    view.setUint16(2 * i, commandLine.charCodeAt(i), true)
  return [wide, initrd]
}

const stubEvents = (pe: PeFile): Uint8Array[] =>
  MEASURED_SECTIONS.flatMap((name) => {
    const section = pe.sections.find((section) => section.name === name)
    return section ? [utf8(`${name}\0`), section.content] : []
  })

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

async function replayRtmr(events: readonly Uint8Array[]): Promise<Bytes> {
  let value: Bytes = new Uint8Array(48)
  for (const event of events) value = await sha384(concat(value, await sha384(event)))
  return value
}

const sha384 = async (bytes: Uint8Array): Promise<Bytes> =>
  new Uint8Array(await crypto.subtle.digest('SHA-384', bytes as Bytes))
