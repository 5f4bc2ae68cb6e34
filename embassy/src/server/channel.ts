// The embassy's socket for its relay: calls and answers as lines of JSON, any number under way at once. HTTP cost more
// here than the steps that it carried. Only the relay's user can open it, and what it says is checked like a stranger's.
import { createServer, type Socket } from 'node:net'
import { SealedError, toRpcError } from '@sealed/protocol'
import { Lines } from '../lines.ts'
import { bind } from './bind.ts'
import type { Listening } from './listen.ts'

/** One function a call: the session that it is of, and what else was said. */
export type Calls = Record<CallName, (session: string, body: unknown) => Promise<unknown>>
export type CallName = 'open' | 'reveal' | 'commit' | 'abort'
/** Number, name, session, what else is said. */
export type Call = [number, CallName, string, unknown]
/** Number, whether it succeeded, value or error. */
export type Answer = [number, boolean, unknown]

/** Above any call: a header, instructions and two wrapped keys. */
const MAX_CALL_CHARS = 64 * 1024

export async function listenForCalls(calls: Calls, path: string, gid: number): Promise<Listening> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    socket.on('error', () => undefined)
    const lines = new Lines(socket, MAX_CALL_CHARS, (line) => {
      const call = callOf(calls, line)
      if (call) void answer(calls, call).then((said) => lines.write(said))
      else socket.destroy()
    })
  })
  await bind(server, path, gid)
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
}

/** Undefined for what is no call. */
function callOf(calls: Calls, line: unknown): Call | undefined {
  if (!Array.isArray(line) || line.length !== 4) return undefined
  const [number, name, session] = line as unknown[]
  const known = typeof name === 'string' && Object.hasOwn(calls, name)
  return known && Number.isSafeInteger(number) && typeof session === 'string'
    ? (line as Call)
    : undefined
}

async function answer(calls: Calls, [number, name, session, body]: Call): Promise<Answer> {
  try {
    return [number, true, await calls[name](session, body)]
  } catch (error) {
    if (!(error instanceof SealedError)) console.error(error)
    return [number, false, toRpcError(error)]
  }
}
