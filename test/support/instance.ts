// One whole instance for a test file: software TPM, embassy, relay, gateway and replicas in Docker behind nftables, as
// `npm start` runs them. What tests ask of it goes through its doors; nothing inside is replaced or reached into.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Answer,
  type AskOptions,
  type Attested,
  type Authority,
  ask,
  attest,
  createAuthority,
  GatewayFailure,
  parseAuthority,
  read,
} from '@sealed/client'
import {
  decodeReceipt,
  openCheckpoint,
  type Policy,
  parsePolicy,
  type Reading,
  type Receipt,
  type Statement,
  unspliceReceipt,
  utf8,
} from '@sealed/protocol'
import type { InstanceOptions } from '../../scripts/instance/files.ts'
import { type Instance, up } from '../../scripts/up.ts'
import { leftoversOf } from './leftovers.ts'

export const CHAT = '/v1/chat/completions'
const POLL_MS = 20
const POLL_DEADLINE_MS = 60_000

/** An HTTP answer as far as tests look at it. */
export interface Reply {
  status: number
  /** Stable code of an error; undefined for anything else. */
  code: string | undefined
  param: string | undefined
  headers: Headers
  bytes: Uint8Array
  text: string
  /** The stapled receipt, or the one in an error. */
  receipt: string | undefined
}

export interface SendOptions {
  method?: string
  headers?: Record<string, string>
  signal?: AbortSignal
}

export type WorldOptions = Omit<InstanceOptions, 'authorities' | 'workload'> & {
  workload?: InstanceOptions['workload']
  /** Readies the directory that the state will lie in. */
  prepare?: (state: string) => Promise<void>
}

export class World {
  instance: Instance
  /** Of the admitted authorities, in the order of the deployment; a stranger is not admitted. */
  readonly authorities: readonly [Authority, Authority]
  readonly stranger: Authority
  readonly model: string
  readonly options: InstanceOptions
  attested!: Attested

  private constructor(instance: Instance, options: InstanceOptions, keys: Authority[]) {
    this.instance = instance
    this.options = options
    this.authorities = [keys[0]!, keys[1]!]
    this.stranger = keys[2]!
    this.model = options.workload
  }

  /** Starts an instance with two authorities; `close` it in `afterAll`. */
  static async start(options: WorldOptions = {}): Promise<World> {
    const made = await Promise.all([createAuthority(), createAuthority(), createAuthority()])
    const keys = await Promise.all(made.map(({ jwk }) => parseAuthority(jwk)))
    const { prepare, ...given } = options
    const all: InstanceOptions = {
      workload: 'noop',
      ...given,
      authorities: made.slice(0, 2).map(({ entry }, i) => ({ name: `authority-${i}`, ...entry })),
    }
    const world = new World(await upAside(all, prepare), all, keys)
    try {
      await world.attest()
      return world
    } catch (error) {
      await world.close()
      throw error
    }
  }

  get url(): string {
    return this.instance.url
  }

  /** Stops it, and throws when anything of it is left on the machine. */
  async close(): Promise<void> {
    await this.instance.stop()
    const left = await leftoversOf(this.instance.paths, this.options.dockerSocket)
    if (left.length > 0) throw new Error(`the instance left behind: ${left.join(', ')}`)
  }

  /** Stops the instance, keeps its state, and starts it again: a reboot of its machine. */
  async reboot(): Promise<void> {
    await this.instance.stop(true)
    this.instance = await up(this.instance.paths.state, this.options)
    await this.attest()
  }

  async policy(): Promise<Policy> {
    return parsePolicy(await readFile(this.instance.paths.policy, 'utf8'))
  }

  /** Attests the gateway anew, as a client does before its first envelope. */
  async attest(apiKey?: string): Promise<Attested> {
    const options = { url: this.url, policy: await this.policy(), ...(apiKey && { apiKey }) }
    this.attested = await attest(options)
    return this.attested
  }

  /** Body of a chat completion; `extra` are further members. */
  body(content: string, extra: Record<string, unknown> = {}): Uint8Array<ArrayBuffer> {
    const messages = [{ role: 'user', content }]
    return utf8(JSON.stringify({ model: this.model, messages, ...extra }))
  }

  async send(
    path: string,
    body?: BodyInit | Uint8Array,
    options: SendOptions = {},
  ): Promise<Reply> {
    const { method = body === undefined ? 'GET' : 'POST', headers = {}, signal } = options
    const response = await fetch(this.url + path, {
      method,
      headers,
      redirect: 'manual',
      ...(body !== undefined && { body: body as BodyInit }),
      ...(signal && { signal }),
    })
    return readReply(response)
  }

  /** An ordinary chat completion through the plain door. */
  chat(
    content: string,
    extra: Record<string, unknown> = {},
    options: SendOptions = {},
  ): Promise<Reply> {
    const headers = { 'content-type': 'application/json', ...options.headers }
    return this.send(CHAT, this.body(content, extra), { ...options, headers })
  }

  /** Posts bytes to the envelope door, whatever they are. */
  post(envelope: string | Uint8Array, options: SendOptions = {}): Promise<Reply> {
    const headers = { 'content-type': 'application/vnd.sealed-request+json', ...options.headers }
    return this.send('/v1/sealed', envelope, { ...options, headers })
  }

  /** Asks through the client library, receipt verified, never sent twice. */
  ask(content: string, more: Partial<AskOptions> & { extra?: Record<string, unknown> } = {}) {
    const { extra, ...options } = more
    return ask({
      attested: this.attested,
      endpoint: CHAT,
      body: this.body(content, extra),
      retry: { attempts: 1 },
      ...options,
    })
  }

  /** The failure that asking ends in; fails when it succeeds. */
  async askToFail(...args: Parameters<World['ask']>): Promise<GatewayFailure> {
    const outcome = await this.ask(...args).catch((error: unknown) => error)
    if (outcome instanceof GatewayFailure) return outcome
    throw new Error(`expected a failure of the gateway, got ${describe(outcome)}`)
  }

  async reading(authority = this.authorities[0]): Promise<Reading> {
    return (await read({ attested: this.attested, endpoint: CHAT, authority })).reading
  }

  /** The authority's meter of a capability, in millionths. */
  async meter(capability: string, authority = this.authorities[0]): Promise<number | undefined> {
    const { meters } = await this.reading(authority)
    return meters.find((row) => row.capability === `${authority.id}/${capability}`)?.millionths
  }

  /** The receipt kept under an id, once it is there. */
  receipt(id: string): Promise<string> {
    return eventually(`receipt ${id}`, async () => {
      const reply = await this.send(`/v1/receipts/${id}`)
      return reply.status === 200 ? reply.text : undefined
    })
  }

  /** How many leaves `work` made: the log's positions of a session before it and one after it tell. */
  async leavesMadeBy(work: () => Promise<unknown>): Promise<number> {
    const before = await this.position()
    await work()
    return (await this.position()) - before - 1
  }

  /** Where the log stands: the index of the leaf of a session made for this. */
  async position(): Promise<number> {
    const reply = await eventually('a session to look at the log with', async () => {
      const answer = await this.chat('where is the log')
      return answer.status === 200 ? answer : undefined
    })
    return decodeReceipt(reply.receipt!).index
  }

  /** Resolves when an ordinary request is answered again. */
  async serving(options: SendOptions = {}): Promise<Reply> {
    return eventually('an answer', async () => {
      const reply = await this.chat('are you there', {}, options).catch(() => undefined)
      return reply?.status === 200 ? reply : undefined
    })
  }

  /** What the embassy's process wrote of one kind of event. */
  async logged(message: string): Promise<Record<string, unknown>[]> {
    const text = await readFile(join(this.instance.paths.logs, 'embassy.log'), 'utf8')
    return text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line.message === message)
  }
}

/** An instance whose state lies in a directory of its own, which is gone when it is stopped or does not start. */
export async function upAside(
  options: InstanceOptions,
  prepare: WorldOptions['prepare'] = async () => {},
): Promise<Instance> {
  const state = await mkdtemp(join(tmpdir(), 'sealed-e2e-'))
  await prepare(state)
  return up(state, options).catch(async (error: unknown) => {
    await rm(state, { recursive: true, force: true })
    throw error
  })
}

export async function readReply(response: Response): Promise<Reply> {
  const bytes = new Uint8Array(await response.arrayBuffer())
  const text = new TextDecoder().decode(bytes)
  const parsed = tryJson(text)
  const { code, param } = (parsed?.error ?? {}) as Record<string, unknown>
  const receipt = unspliceReceipt(bytes)?.receipt ?? parsed?.receipt
  return {
    status: response.status,
    code: typeof code === 'string' ? code : undefined,
    param: typeof param === 'string' ? param : undefined,
    headers: response.headers,
    bytes,
    text,
    receipt: typeof receipt === 'string' ? receipt : undefined,
  }
}

function tryJson(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? ((value ?? undefined) as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** The first answer that is not undefined; a bounded number of looks, each at the real thing. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined>,
  pollMs = POLL_MS,
): Promise<T> {
  const end = performance.now() + POLL_DEADLINE_MS
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`${what}: not within ${POLL_DEADLINE_MS} ms`)
    await delay(pollMs)
  }
}

export const statementsOf = (receipt: string): Statement[] => decodeReceipt(receipt).leaf.statements
export const typesOf = (receipt: string): string[] => statementsOf(receipt).map(({ type }) => type)

/** The reason of an aborted session; undefined when it was not aborted. */
export function abortOf(receipt: string | undefined): string | undefined {
  const last = receipt === undefined ? undefined : statementsOf(receipt).at(-1)
  return last?.type === 'session.aborted' ? last.reason : undefined
}

export function statementOf<T extends Statement['type']>(
  receipt: string,
  type: T,
): Extract<Statement, { type: T }> {
  const found = statementsOf(receipt).find((statement) => statement.type === type)
  if (!found) throw new Error(`no ${type} in ${typesOf(receipt).join(', ')}`)
  return found as Extract<Statement, { type: T }>
}

/** The checkpoint of a receipt, its signature checked. */
export async function checkpointOf(receipt: Receipt, attested: Attested) {
  const key = Uint8Array.from(
    Buffer.from(attested.document.key_set.ledger_key, 'base64url'),
  ) as Uint8Array<ArrayBuffer>
  return openCheckpoint(receipt.checkpoint, key)
}

const describe = (value: unknown): string =>
  value instanceof Error
    ? `${value.name}: ${value.message}`
    : `an answer with status ${(value as Answer).status}`
