// The embassy's socket for root on its own machine: the one way to what the log keeps besides hashes.
import { readdir } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fromRpcError, fromUtf8, SealedError } from '@sealed/protocol'
import { UsageError } from './usage.ts'

const RUNTIME = '/run/sealed'
const MAX_ERROR_BYTES = 65_536

/** The socket that was named, else that of the one embassy on this machine. */
export async function adminSocket(given: string | undefined, runtime = RUNTIME): Promise<string> {
  if (given !== undefined) return given
  const instances = await readdir(runtime).catch((): string[] => [])
  const found: string[] = []
  for (const id of instances) {
    const directory = join(runtime, id, 'embassy')
    const names = await readdir(directory).catch((): string[] => [])
    const path = join(directory, 'admin.sock')
    // One that was killed leaves its socket behind.
    if (names.includes('admin.sock') && (await answers(path))) found.push(path)
  }
  const [only, ...others] = found
  if (only && others.length === 0) return only
  throw new UsageError(
    only
      ? `several embassies run here; name one with --socket: ${found.join(', ')}`
      : `no embassy runs here that this user can see: run as root on its machine, or name it with --socket`,
    'socket',
  )
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.end()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

/** An answer with status 200, its body unread. Throws what the embassy says, or `embassy.unavailable`. */
export async function askEmbassy(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
): Promise<IncomingMessage> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request({ socketPath, method, path, headers: { host: 'localhost' } }, resolve)
    asked.once('error', reject)
    asked.end()
  }).catch((cause: Error) => {
    throw new SealedError(
      'embassy.unavailable',
      `no embassy answers on ${socketPath}: ${cause.message}`,
      { cause },
    )
  })
  if (answer.statusCode === 200) return answer
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of answer as AsyncIterable<Uint8Array>) {
    size += part.length
    if (size > MAX_ERROR_BYTES) break
    parts.push(part)
  }
  let body: unknown
  try {
    body = JSON.parse(fromUtf8(Buffer.concat(parts)))
  } catch {}
  throw fromRpcError(body)
}
