// Drives an agent: a Python process in one network namespace that sends and receives on command. Python because
// raw, packet and crafted IP sockets are needed, which Node does not have.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

export type Version = 4 | 6
export type Kind = 'tcp' | 'udp' | 'icmp' | 'raw'

export type Send =
  | {
      readonly how: 'new'
      readonly kind: Kind
      readonly version: Version
      readonly to: string
      readonly port: number
      readonly token: string
      readonly ident?: number
      readonly protocol?: number
      readonly from?: readonly [string, number]
    }
  | { readonly how: 'on'; readonly name: string; readonly token: string }
  | {
      readonly how: 'spoofed'
      readonly kind: 'tcp' | 'udp'
      readonly version: Version
      readonly source: string
      readonly to: string
      readonly port: number
      readonly token: string
    }
  | { readonly how: 'frame'; readonly device: string; readonly token: string }

export interface Flow {
  /** Letters, digits and dots. */
  readonly name: string
  readonly kind: 'tcp' | 'udp'
  readonly version: Version
  readonly to: string
  readonly port: number
  readonly from?: readonly [string, number]
}

export interface Agent {
  /**
   * Notes tokens that reach TCP and UDP on `port` and, where it has the right to hear them, ICMP and `raw` IP; answers
   * from each of `addresses`.
   */
  listen(port: number, addresses: readonly string[], raw?: boolean): Promise<void>
  /** Notes tokens in every frame that comes in on a device. */
  watch(device: string): Promise<void>
  /** Opens a flow and proves that it carries data both ways; both ends know it by name then. */
  open(flow: Flow): Promise<void>
  /** Sends all at once; resolves with `sent` or the system's reason for each when all have been tried. */
  send(sends: readonly Send[]): Promise<string[]>
  /** Every token that has come so far. */
  received(): Promise<string[]>
  /** TCP flows with bytes that the kernel would send again. */
  pending(): Promise<string[]>
  stop(): Promise<void>
}

export const PROGRAM = new URL('agent.py', import.meta.url).pathname

/** Starts an agent in the network namespace at `path`, as user `uid` when one is given. */
export function startAgent(path: string, uid?: number): Agent {
  const child = spawn(
    'nsenter',
    [`--net=${path}`, '--', 'python3', PROGRAM, ...(uid === undefined ? [] : [String(uid)])],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  return agentOver(path, child.stdin, child.stdout, once(child, 'close'))
}

/** Drives the agent that reads `input` and writes `output`, wherever it runs. */
export function agentOver(
  where: string,
  input: Writable,
  output: Readable,
  closed: Promise<unknown>,
): Agent {
  const waiting: PromiseWithResolvers<unknown>[] = []
  createInterface({ input: output }).on('line', (line) =>
    waiting.shift()?.resolve(JSON.parse(line)),
  )
  const ended = closed.then(() => {
    for (const each of waiting) each.reject(new Error(`the agent in ${where} ended`))
  })
  const ask = (command: object): Promise<unknown> => {
    const answer = Promise.withResolvers<unknown>()
    waiting.push(answer)
    input.write(`${JSON.stringify(command)}\n`)
    return answer.promise
  }
  const must = async (command: object) => {
    const answer = await ask(command)
    if (answer !== 'sent') throw new Error(`agent: ${JSON.stringify(command)}: ${answer}`)
  }
  return {
    listen: (port, addresses, raw = true) => must({ op: 'listen', port, addresses, raw }),
    watch: (device) => must({ op: 'watch', device }),
    open: (flow) => must({ op: 'open', ...flow }),
    send: async (sends) => (await ask({ op: 'send', sends })) as string[],
    received: async () => (await ask({ op: 'received' })) as string[],
    pending: async () => (await ask({ op: 'pending' })) as string[],
    async stop() {
      input.end()
      await ended
    },
  }
}
