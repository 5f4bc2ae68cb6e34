// weights: packs the files of a model into a volume that workloads can name by its root hash, and hashes one anew. Nothing
// is asked of anybody.
import { resolve } from 'node:path'
import { SealedError } from '@sealed/protocol'
import { type Io, painter, printJson } from '../io.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'
import { measureVolume, type Packed, type Progress, packVolume } from '../weights/volume.ts'

export async function weightsPackCommand(
  io: Io,
  directory: string,
  flags: { json?: boolean; out: string },
): Promise<Exit> {
  const packed = await asked('directory', () =>
    packVolume(resolve(io.cwd, directory), resolve(io.cwd, flags.out), progressOf(io)),
  )
  if (flags.json) printJson(io, packed)
  else {
    print(io, packed, `${packed.files} files`)
    io.stdout.write(
      `\nFor workload.json, at the path that the server reads:\n"weights": [{ "path": "/models", "root_hash": "${packed.root_hash}" }]\n`,
    )
  }
  return EXIT.ok
}

export async function weightsVerifyCommand(
  io: Io,
  volume: string,
  flags: { json?: boolean; rootHash?: string },
): Promise<Exit> {
  const expected = flags.rootHash
  if (expected !== undefined && !/^[0-9a-f]{64}$/.test(expected))
    throw new UsageError('--root-hash must be 64 lower-case hex digits', 'root-hash')
  const measured = await asked('volume', () =>
    measureVolume(resolve(io.cwd, volume), progressOf(io)),
  )
  const equal = expected === undefined ? undefined : expected === measured.root_hash
  if (flags.json) printJson(io, { ...measured, ...(equal !== undefined && { equal }) })
  else {
    const paint = painter(io, 'stdout')
    print(io, measured, 'recomputed from every byte of its data')
    const verdicts = {
      undefined: `${paint('yellow', 'Held against nothing.')} Give the one that a workload names: --root-hash`,
      true: `${paint('green', 'It is the volume')} of that root hash.`,
      false: `${paint('red', 'Not the volume')} of root hash ${expected}.`,
    }
    io.stdout.write(`${verdicts[`${equal}`]}\n`)
  }
  if (equal === undefined) return EXIT.incomplete
  return equal ? EXIT.ok : EXIT.failed
}

function print(io: Io, { bytes, root_hash }: Pick<Packed, 'bytes' | 'root_hash'>, more: string) {
  if (io.stderr.isTTY) io.stderr.write('\n')
  io.stdout.write(`root hash  ${root_hash}\nvolume     ${bytes} bytes, ${more}\n`)
}

/** A file that is not there, or cannot be read, is a mistake in the call. */
async function asked<T>(param: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SealedError || (error as NodeJS.ErrnoException).code === undefined)
      throw error
    throw new UsageError((error as Error).message, param)
  }
}

/** One line that is written over, on a terminal only. */
const progressOf =
  (io: Io): Progress =>
  (doing, done, all) => {
    if (io.stderr.isTTY) io.stderr.write(`\r${doing}: ${Math.floor((100 * done) / all)} % `)
  }
