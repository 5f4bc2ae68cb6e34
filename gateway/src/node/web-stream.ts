// A Node stream as a web stream, by hand: `Readable.toWeb` ends the process when a client goes at the wrong moment
// (it closes a controller that is closed already), so every event after the end is ignored here.
import type { Readable } from 'node:stream'

/** Bytes kept ready for a reader; beyond them the source is paused. */
const AHEAD_BYTES = 64 * 1024

/** Errors when the source breaks off; never ends early as if it were complete. Cancelling destroys the source. */
export function webStream(source: Readable): ReadableStream<Uint8Array> {
  let over = false
  const once = (act: () => void) => {
    if (over) return
    over = true
    act()
  }
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        source.pause()
        source.on('data', (chunk: Uint8Array) => {
          if (over) return
          controller.enqueue(chunk)
          if ((controller.desiredSize ?? 0) <= 0) source.pause()
        })
        source.on('end', () => once(() => controller.close()))
        source.on('error', (error) => once(() => controller.error(error)))
        source.on('close', () => once(() => controller.error(new Error('the stream was cut'))))
        if (source.destroyed) once(() => controller.error(new Error('the stream was cut')))
      },
      pull() {
        if (!over) source.resume()
      },
      cancel() {
        once(() => source.destroy())
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: AHEAD_BYTES }),
  )
}
