// A number of calls, so many at a time.

/** Runs `requests` of a path, so many at a time; how long each took, and how many a second there were. */
export async function load(
  requests: number,
  connections: number,
  call: () => Promise<void>,
): Promise<{ walls: number[]; rate: number }> {
  const walls: number[] = []
  let left = requests
  const from = performance.now()
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (left-- > 0) {
        const start = performance.now()
        await call()
        walls.push(performance.now() - start)
      }
    }),
  )
  return { walls, rate: (1000 * requests) / (performance.now() - from) }
}
