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

/** How long nothing comes before a heartbeat says that somebody is still there. */
export const HEARTBEAT_MS = 10_000

export interface EventStreamOptions {
  /** Leaves the receipt out: its id is in the head. */
  idOnly: boolean
  heartbeatMs?: number
  /** Called once, whichever way it ends. */
  ended: () => void
  /** Ends the client's connection; without it the stream errors. */
  cut?: (() => void) | undefined
}

type Piece = Awaited<ReturnType<PlainStream['pieces']['next']>>

/** `pieces` may be a promise still: until it is kept there are heartbeats alone. */
export function eventStream(
  pieces: Promise<PlainStream['pieces']>,
  { idOnly, heartbeatMs = HEARTBEAT_MS, ended, cut }: EventStreamOptions,
): ReadableStream<Uint8Array> {
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
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (;;) {
            const bytes = await step()
            if (bytes === undefined) {
              controller.close()
              return ended()
            }
            if (bytes.length > 0) return controller.enqueue(bytes)
          }
        } catch (error) {
          ended()
          if (error instanceof SealedError) {
            controller.enqueue(errorEvent(error, stapler.between))
            return controller.close()
          }
          if (!cut) throw error
          cut()
        }
      },
      async cancel() {
        ended()
        await pieces.then((source) => source.return()).catch(() => {})
      },
    },
    { highWaterMark: 0 },
  )
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
