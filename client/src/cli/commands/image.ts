// image: what a machine that starts from a disk image will have measured, recomputed from the disk and held against what
// its publisher says. Nothing is asked of anybody.
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  canonicalize,
  type MeasuredDisk,
  measureDisk,
  parseReferenceValues,
  type ReferenceValues,
  SealedError,
} from '@sealed/protocol'
import { type Io, painter, plainLine, printJson } from '../io.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'

export async function imageVerifyCommand(
  io: Io,
  path: string,
  flags: { json?: boolean; reference?: string },
): Promise<Exit> {
  const reference =
    flags.reference === undefined ? undefined : await readReference(io, flags.reference)
  const disk = await open(resolve(io.cwd, path)).catch((error: Error) => {
    throw new UsageError(`cannot read the disk image: ${error.message}`, 'disk')
  })
  let measured: MeasuredDisk
  try {
    measured = await measureDisk(reader(disk), progressOf(io))
  } finally {
    await disk.close()
  }
  const differences = reference === undefined ? [] : differencesOf(measured, reference)
  if (flags.json) printJson(io, { ...measured, differences })
  else print(io, measured, reference, differences)
  if (reference === undefined) return EXIT.incomplete
  return differences.length > 0 ? EXIT.failed : EXIT.ok
}

export async function readReference(io: Io, path: string): Promise<ReferenceValues> {
  const source = await readFile(resolve(io.cwd, path), 'utf8').catch((error: Error) => {
    throw new UsageError(`cannot read the reference values: ${error.message}`, 'reference')
  })
  return parseReferenceValues(source)
}

const reader = (disk: FileHandle) => async (offset: number, length: number) => {
  const bytes = new Uint8Array(length)
  const { bytesRead } = await disk.read(bytes, 0, length, offset)
  if (bytesRead !== length) throw new SealedError('evidence.invalid', 'disk: cut short')
  return bytes
}

/** One line that is written over, on a terminal only. */
const progressOf = (io: Io) => (done: number, all: number) => {
  if (io.stderr.isTTY) io.stderr.write(`\rhashing the root: ${Math.floor((100 * done) / all)} % `)
}

function differencesOf(measured: MeasuredDisk, reference: ReferenceValues): string[] {
  const { name: _, version: __, ...image } = reference.image
  const pairs = [
    ['command line', measured.command_line, reference.command_line],
    ['root hash', measured.root_hash, reference.root_hash],
    ['RTMR 2', measured.rtmr2, reference.rtmr2],
    ['digests of the boot programs', measured.image.uki, image.uki],
    ...measured.image.pcrs.map(({ index, digests }) => [
      `PCR ${index}`,
      digests,
      image.pcrs.find((row) => row.index === index)?.digests,
    ]),
    ['PCRs named', indices(measured.image.pcrs), indices(image.pcrs)],
  ] as const
  return pairs.flatMap(([what, ours, theirs]) =>
    theirs !== undefined && canonicalize({ value: ours }) === canonicalize({ value: theirs })
      ? []
      : [`${what}: the disk has ${words(ours)}, the reference values say ${words(theirs)}`],
  )
}

const indices = (rows: readonly { index: number }[]) => rows.map(({ index }) => index)
const words = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

function print(
  io: Io,
  { command_line, image, root_hash, rtmr2 }: MeasuredDisk,
  reference: ReferenceValues | undefined,
  differences: readonly string[],
): void {
  const paint = painter(io, 'stdout')
  if (io.stderr.isTTY) io.stderr.write('\n')
  const lines = [
    `root hash      ${root_hash}`,
    `boot programs  ${image.uki?.join(', ')}`,
    ...image.pcrs.map(
      ({ index, digests }) => `PCR ${String(index).padEnd(11)}${digests.join(' or ')}`,
    ),
    `RTMR 2 (TDX)   ${rtmr2}`,
    `command line   ${plainLine(command_line)}`,
    '',
    ...differences.map((line) => `${paint('red', 'differs')}: ${plainLine(line)}`),
    reference === undefined
      ? `${paint('yellow', 'Held against nothing.')} Give what its publisher says: --reference reference-values.json`
      : differences.length > 0
        ? `${paint('red', 'Not the image')} that these reference values are of.`
        : `${paint('green', 'The disk is')} ${plainLine(`${reference.image.name} ${reference.image.version}`)}: every value recomputed and equal.`,
  ]
  io.stdout.write(`${lines.join('\n')}\n`)
}
