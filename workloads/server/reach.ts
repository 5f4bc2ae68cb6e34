// The note's Google test: tries to reach what it was told to try, and reports what happened. The targets are
// configuration (`PROBE_TARGETS`, a list like `tcp:198.18.0.2:80`); without any, nothing is tried.
import { connect } from 'node:net'

const TIMEOUT_MS = Number(process.env.PROBE_TIMEOUT_MS ?? 500)
const TARGETS = (process.env.PROBE_TARGETS ?? '')
  .split(',')
  .filter((target) => target.startsWith('tcp:'))

/** One member per target: `reach_<address>:<port>` is `reached` or why not. */
export async function reachReport(): Promise<Record<string, string>> {
  const results = await Promise.all(
    TARGETS.map(
      async (target) => [`reach_${target.slice(4)}`, await attempt(target.slice(4))] as const,
    ),
  )
  return Object.fromEntries(results)
}

function attempt(target: string): Promise<string> {
  const colon = target.lastIndexOf(':')
  return new Promise((resolve) => {
    const socket = connect({
      host: target.slice(0, colon),
      port: Number(target.slice(colon + 1)),
      timeout: TIMEOUT_MS,
    })
    const answer = (result: string) => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => answer('reached'))
    socket.once('timeout', () => answer(`refused: no answer within ${TIMEOUT_MS} ms`))
    socket.once('error', (error: NodeJS.ErrnoException) => answer(`refused: ${error.code}`))
  })
}
