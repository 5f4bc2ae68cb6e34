// Whether a replica can serve: asked by the embassy, answered by the only user whom the firewall lets connect. Servers
// that listen before their model is loaded say so at `/health`; what others say there counts for nothing.
import { connect } from 'node:net'

export interface ReachQuestion {
  question: number
  address: string
  port: number
  localPort: number
}
/** `loading`: it accepts connections, and says of itself that it cannot serve yet. */
export type Reached = 'ready' | 'loading' | 'no'
export interface ReachAnswer {
  question: number
  reached: Reached
}

const HEALTH = 'GET /health HTTP/1.1\r\nhost: workload\r\nconnection: close\r\n\r\n'
const NOT_YET = /^HTTP\/1\.[01] 503 /
const STATUS_BYTES = 13

export function reachOf({ address, port, localPort }: ReachQuestion): Promise<Reached> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, localPort, timeout: 1_000 })
    let otherwise: Reached = 'no'
    let said = ''
    const answer = (reached: Reached) => {
      socket.destroy()
      resolve(reached)
    }
    socket.once('connect', () => {
      otherwise = 'ready'
      socket.write(HEALTH)
    })
    socket.on('data', (bytes) => {
      said += bytes.toString('latin1', 0, STATUS_BYTES)
      if (said.length >= STATUS_BYTES) answer(NOT_YET.test(said) ? 'loading' : 'ready')
    })
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => answer(otherwise))
  })
}
