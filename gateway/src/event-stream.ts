// An event stream of the plain door on its way to the client: the workload's bytes as they come, heartbeats while none
// do, the receipt before its end. What fails after the head is an event with an error, which no SDK takes for an end.
import {
  type Bytes,
  concat,
  EventStapler,
  HEARTBEAT,
  SealedError,
  SessionFailure,
  utf8,
} from '@sealed/protocol'
import type { PlainStream } from './deps.ts'
import { AFTER_REVEAL, errorBody } from './errors.ts'
import type { Source } from './stream.ts'

/** How long nothing comes before a heartbeat says that somebody is still there. */
export const HEARTBEAT_MS = 10_000

type Piece = Awaited<ReturnType<PlainStream['pieces']['next']>>

/**
 * `pieces` may be a promise still: until it is kept there are heartbeats alone. `idOnly` leaves the receipt out: its id is
 * in the head.
 */
export function eventStream(
  pieces: Promise<PlainStream['pieces']>,
  { idOnly, heartbeatMs = HEARTBEAT_MS }: { idOnly: boolean; heartbeatMs?: number },
): Source {
  const stapler = new EventStapler()
  let next: Promise<Piece> | undefined
  const step = async (): Promise<Bytes | undefined> => {
    next ??= pieces.then((source) => source.next())
    const piece = await soon(next, heartbeatMs)
    if (piece === undefined) return stapler.between ? HEARTBEAT : new Uint8Array(0)
    next = undefined
    if (piece.done) return undefined
    if ('data' in piece.value) return stapler.push(piece.value.data)
    return stapler.end(idOnly ? undefined : piece.value.receipt)
  }
  const pieceOf = async (): Promise<Bytes | undefined> => {
    for (;;) {
      const bytes = await step()
      if (bytes?.length !== 0) return bytes
    }
  }
  let failed = false
  return {
    async read() {
      try {
        const value = failed ? undefined : await pieceOf()
        return value ? { done: false, value } : { done: true, value }
      } catch (error) {
        if (!(error instanceof SealedError)) throw error
        failed = true
        return { done: false, value: errorEvent(error, stapler.between) }
      }
    },
    async cancel() {
      await pieces.then((source) => source.return()).catch(() => {})
    },
  }
}

/** Undefined where nothing came within `ms`. */
export async function soon<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function errorEvent(error: SealedError, between: boolean): Bytes {
  const receipt = error instanceof SessionFailure ? error.receipt : undefined
  const body = { ...errorBody(AFTER_REVEAL, error), ...(receipt !== undefined && { receipt }) }
  return concat(utf8(between ? '' : '\n\n'), utf8(`data: ${JSON.stringify(body)}\n\n`))
}
