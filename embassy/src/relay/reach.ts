// Whether a replica accepts connections: asked by the embassy, answered by the only user whom the firewall lets connect.
import { connect } from 'node:net'

export interface ReachQuestion {
  question: number
  address: string
  port: number
  localPort: number
}
export interface ReachAnswer {
  question: number
  reached: boolean
}

export function canReach({ address, port, localPort }: ReachQuestion): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, localPort, timeout: 1_000 })
    const answer = (reached: boolean) => {
      socket.destroy()
      resolve(reached)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false))
    socket.once('timeout', () => answer(false))
  })
}
