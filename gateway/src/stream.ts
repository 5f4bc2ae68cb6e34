// An answer on its way to the client, piece by piece: read as the reader of a web stream is read, so that a runtime with a
// cheaper way than a web stream needs to make none.
import type { Context } from 'hono'
import type { AppEnv, Deps } from './deps.ts'

/** What reads pieces, or gives up those that have not come. */
export type Source = Pick<ReadableStreamDefaultReader<Uint8Array>, 'read' | 'cancel'>

/**
 * Answers with the pieces as they are wanted; `ended` is called whichever way they end. When the source breaks off, the
 * client's connection ends too.
 */
export function streamed(
  c: Context<AppEnv>,
  { cutOff, streamOf = webStream }: Pick<Deps, 'cutOff' | 'streamOf'>,
  {
    source,
    ended,
    headers,
  }: { source: Source; ended: () => void; headers: Record<string, string> },
): Response {
  const body = watched(source, ended, cutOff && (() => cutOff(c)))
  return c.body(streamOf(body), 200, {
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    ...headers,
  })
}

/** The same pieces, with word of their end; when the source breaks off, `cut` comes before the reader learns of it. */
export const watched = (source: Source, ended: () => void, cut?: () => void): Source => ({
  async read() {
    try {
      const piece = await source.read()
      if (piece.done) ended()
      return piece
    } catch (error) {
      ended()
      cut?.()
      throw error
    }
  },
  cancel(reason) {
    ended()
    return source.cancel(reason)
  },
})

/** Errors where the source does. */
export const webStream = (source: Source): ReadableStream<Uint8Array> =>
  new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await source.read()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => source.cancel(reason),
    },
    { highWaterMark: 0 },
  )
