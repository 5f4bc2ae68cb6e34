// Drives an agent: a Python process in one network namespace that sends and receives on command. Python because
// raw, packet and crafted IP sockets are needed, which Node does not have.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

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
  /** Notes tokens that reach TCP and UDP on `port`, ICMP and raw IP; answers from each of `addresses`. */
  listen(port: number, addresses: readonly string[]): Promise<void>
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

/** Starts an agent in the network namespace at `path`, as user `uid` when one is given. */
export function startAgent(path: string, uid?: number): Agent {
  const program = new URL('agent.py', import.meta.url).pathname
  const child = spawn(
    'nsenter',
    [`--net=${path}`, '--', 'python3', program, ...(uid === undefined ? [] : [String(uid)])],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const waiting: PromiseWithResolvers<unknown>[] = []
  createInterface({ input: child.stdout }).on('line', (line) =>
    waiting.shift()?.resolve(JSON.parse(line)),
  )
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  void ended.then(() => {
    for (const each of waiting) each.reject(new Error(`the agent in ${path} ended`))
  })
  const ask = (command: object): Promise<unknown> => {
    const answer = Promise.withResolvers<unknown>()
    waiting.push(answer)
    child.stdin.write(`${JSON.stringify(command)}\n`)
    return answer.promise
  }
  const must = async (command: object) => {
    const answer = await ask(command)
    if (answer !== 'sent') throw new Error(`agent: ${JSON.stringify(command)}: ${answer}`)
  }
  return {
    listen: (port, addresses) => must({ op: 'listen', port, addresses }),
    watch: (device) => must({ op: 'watch', device }),
    open: (flow) => must({ op: 'open', ...flow }),
    send: async (sends) => (await ask({ op: 'send', sends })) as string[],
    received: async () => (await ask({ op: 'received' })) as string[],
    pending: async () => (await ask({ op: 'pending' })) as string[],
    async stop() {
      child.stdin.end()
      await ended
    },
  }
}
