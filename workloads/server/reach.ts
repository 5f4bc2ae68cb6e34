// The note's Google test: tries to reach what it was told to try, and reports what happened. The targets are
// configuration (`PROBE_TARGETS`, a list like `tcp:198.18.0.2:80`); without any, nothing is tried.
import { connect } from 'node:net'

const TIMEOUT_MS = Number(process.env.PROBE_TIMEOUT_MS ?? 500)
const IDLE_MS = 500
const TARGETS = (process.env.PROBE_TARGETS ?? '')
  .split(',')
  .filter((target) => target.startsWith('tcp:'))
  .map((target) => target.slice(4))

/** What the last attempt between two requests came to. */
const idle: Record<string, string> = {}

/**
 * One member per target: `reach_<address>:<port>` is `reached` or why not, now; `idle_<address>:<port>` the same of the
 * last attempt before this request.
 */
export async function reachReport(): Promise<Record<string, string>> {
  const before = { ...idle }
  return { ...before, ...(await attemptAll('reach')) }
}

/** Tries again and again while `busy` says no; for as long as the process lives. */
export function tryWhileIdle(busy: () => boolean): void {
  if (TARGETS.length === 0) return
  setInterval(async () => {
    if (busy()) return
    const found = await attemptAll('idle')
    if (!busy()) Object.assign(idle, found)
  }, IDLE_MS).unref()
}

async function attemptAll(prefix: string): Promise<Record<string, string>> {
  const results = TARGETS.map(
    async (target) => [`${prefix}_${target}`, await attempt(target)] as const,
  )
  return Object.fromEntries(await Promise.all(results))
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
