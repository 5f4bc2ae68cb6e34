// A large file that comes as a stream: it gets its name when it is whole, and never the name of one that is there.
import { createWriteStream } from 'node:fs'
import { access, link, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { SealedError } from '@sealed/protocol'
import { UsageError } from './usage.ts'

/** Throws a usage error where there is a file already. */
export async function refuseExisting(path: string): Promise<void> {
  const exists = await access(path).then(
    () => true,
    () => false,
  )
  if (exists) throw new UsageError(`${path} is there already; --out wants a new file`, 'out')
}

/**
 * Writes `source` to `path`, readable by its owner only; returns its size. `bytes` is the size it must have, where that
 * is known; `progress` is told of each part. Throws `response.truncated` when the source ends early.
 */
export async function writeNewFile(
  path: string,
  source: NodeJS.ReadableStream,
  options: { bytes?: number; progress?: (size: number, part: Uint8Array) => void } = {},
): Promise<number> {
  await refuseExisting(path)
  const part = `${path}.part`
  await rm(part, { force: true })
  let size = 0
  const counted = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      size += chunk.length
      options.progress?.(size, chunk)
      done(null, chunk)
    },
  })
  try {
    await pipeline(source, counted, createWriteStream(part, { flags: 'wx', mode: 0o600 }))
    if (options.bytes !== undefined && size !== options.bytes) throw truncated()
    await sync(part)
    await link(part, path)
    await sync(dirname(path))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw new UsageError(`${path} is there already`, 'out')
    if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') throw truncated(error)
    if (error instanceof SealedError || code === undefined) throw error
    throw new UsageError(`cannot write ${path}: ${(error as Error).message}`, 'out')
  } finally {
    await rm(part, { force: true })
  }
  return size
}

/** Makes a file, or a directory's names, survive a power cut. */
export async function sync(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

const truncated = (cause?: unknown) =>
  new SealedError('response.truncated', 'the embassy stopped before the end: nothing was kept', {
    cause,
  })
