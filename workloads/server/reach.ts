// The note's Google test: tries to reach what it was told to try, and reports what happened. The targets are
// configuration (`PROBE_TARGETS`, a list like `tcp:198.18.0.2:80,tcp:[fd00::2]:80`); without any, nothing is tried.
import { connect } from 'node:net'

const TIMEOUT_MS = Number(process.env.PROBE_TIMEOUT_MS ?? 500)
const IDLE_MS = 500
const TARGETS = parseTargets(process.env.PROBE_TARGETS ?? '')

export interface ProbeTarget {
  /** As it is reported: `address:port`. */
  name: string
  host: string
  port: number
}

/** What the last attempt between two requests came to. */
const idle: Record<string, string> = {}

/** Throws when an entry is not `tcp:ADDRESS:PORT`: a test that tries nothing must not look like one that was refused. */
export function parseTargets(list: string): ProbeTarget[] {
  return list
    .split(',')
    .filter(Boolean)
    .map((entry) => {
      const [, name, host, port] =
        /^tcp:((\[[0-9a-fA-F:]+\]|[^:[\]]+):(\d{1,5}))$/.exec(entry) ?? []
      if (!name || !host || Number(port) > 65_535)
        throw new Error(`PROBE_TARGETS: ${entry} is not tcp:ADDRESS:PORT (IPv6 in brackets)`)
      return { name, host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
    })
}

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
    async (target) => [`${prefix}_${target.name}`, await attempt(target)] as const,
  )
  return Object.fromEntries(await Promise.all(results))
}

/** `reached`, or `refused:` and why. */
export function attempt({ host, port }: ProbeTarget, timeoutMs = TIMEOUT_MS): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs })
    const answer = (result: string) => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => answer('reached'))
    socket.once('timeout', () => answer(`refused: no answer within ${timeoutMs} ms`))
    socket.once('error', (error: NodeJS.ErrnoException) => answer(`refused: ${error.code}`))
  })
}
