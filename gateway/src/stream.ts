// A streamed answer on its way to the client, with word of its end: finished, broken or given up.

/**
 * The same bytes as `source`, read only as fast as they are wanted. `ended` is called once, whichever way it ends.
 * When the source breaks off, `cut` is to end the client's connection; without it the stream errors.
 */
export function watched(
  source: ReadableStream<Uint8Array>,
  ended: () => void,
  cut?: () => void,
): ReadableStream<Uint8Array> {
  const reader = source.getReader()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          controller.close()
        } catch (error) {
          ended()
          if (!cut) throw error
          return cut()
        }
        ended()
      },
      async cancel(reason) {
        ended()
        await reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}
