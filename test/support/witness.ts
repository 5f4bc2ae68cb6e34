// A witness of our own: a real HTTP server that does what C2SP tlog-witness says for `add-checkpoint`. It keeps the last
// tree it cosigned of each log and signs no fork. A test may make it misbehave.
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  type AddCheckpoint,
  cosign,
  fromUtf8,
  openLogCheckpoint,
  parseAddCheckpoint,
  parseCheckpointBody,
  parseNote,
  SealedError,
  SIZE_TYPE,
  type TreeHead,
  toBase64url,
  verifyConsistency,
} from '@sealed/protocol'

interface Reply {
  status: number
  body: string
  type?: string
}

export class TestWitness {
  readonly name: string
  /** Each reply so far, in order. */
  readonly replies: (Reply & { request: string })[] = []
  /** What it does in place of the protocol; a reply that never comes is `hang`. */
  instead: ((request: string) => Reply | 'hang' | undefined) | undefined
  /** Its clock, in seconds. */
  now = () => Math.floor(Date.now() / 1000)
  readonly #logs = new Map<string, Uint8Array>()
  readonly #seen = new Map<string, TreeHead>()
  readonly #keys: CryptoKeyPair
  readonly #publicKey: Uint8Array
  readonly #server: Server
  #waiting: (() => void)[] = []
  #work: Promise<unknown> = Promise.resolve()

  private constructor(name: string, keys: CryptoKeyPair, publicKey: Uint8Array) {
    this.name = name
    this.#keys = keys
    this.#publicKey = publicKey
    this.#server = createServer(async (request, response) => {
      const text = fromUtf8(await bodyOf(request))
      const reply = this.instead?.(text) ?? (await this.#inTurn(request, text))
      if (reply === 'hang') return
      const type = reply.type ?? 'text/plain; charset=utf-8'
      response.writeHead(reply.status, { 'content-type': type }).end(reply.body)
      this.replies.push({ ...reply, request: text })
      for (const wake of this.#waiting.splice(0)) wake()
    })
  }

  /** Listens on the loopback; `close` it. */
  static async start(name = 'witness.example/test', port = 0): Promise<TestWitness> {
    const keys = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])
    const pair = keys as CryptoKeyPair
    const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))
    const witness = new TestWitness(name, pair, publicKey)
    await new Promise<void>((resolve) => witness.#server.listen(port, '127.0.0.1', () => resolve()))
    return witness
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Its entry in `sealed.json`. */
  get entry(): { name: string; url: string; public_key: string } {
    return { ...this.key, url: `http://127.0.0.1:${this.port}/witness` }
  }

  /** Its entry in a policy. */
  get key(): { name: string; public_key: string } {
    return { name: this.name, public_key: toBase64url(this.#publicKey) }
  }

  /** Makes a log known; what it is shown of others it answers with 404. */
  trust(origin: string, ledgerKey: Uint8Array): void {
    this.#logs.set(origin, ledgerKey)
  }

  /** The last tree that it cosigned. */
  seen(origin: string): TreeHead | undefined {
    return this.#seen.get(origin)
  }

  /** Resolves at the first moment, now or after a reply, at which `holds` does. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  /** One request after another: looking at the last size and replacing it is one step. */
  #inTurn(request: IncomingMessage, text: string): Promise<Reply> {
    const reply = this.#work.then(() => this.#reply(request, text))
    this.#work = reply.catch(() => {})
    return reply
  }

  async #reply(request: IncomingMessage, text: string): Promise<Reply> {
    if (request.method !== 'POST' || request.url !== '/witness/add-checkpoint')
      return { status: 404, body: 'no such call\n' }
    try {
      return await this.#addCheckpoint(parseAddCheckpoint(text))
    } catch (error) {
      if (!(error instanceof SealedError)) throw error
      return { status: 400, body: `${error.message}\n` }
    }
  }

  async #addCheckpoint({ checkpoint, old, proof }: AddCheckpoint): Promise<Reply> {
    const { body } = parseNote(checkpoint)
    const { origin, root, size } = parseCheckpointBody(body)
    const ledgerKey = this.#logs.get(origin)
    if (!ledgerKey) return { status: 404, body: 'unknown log\n' }
    const signed = await openLogCheckpoint(checkpoint, ledgerKey).catch(() => undefined)
    if (!signed) return { status: 403, body: 'not signed by that log\n' }
    if (old > size) return { status: 400, body: 'the old size is above the new one\n' }
    const last = this.#seen.get(origin)
    if (old !== (last?.size ?? 0))
      return { status: 409, body: `${last?.size ?? 0}\n`, type: SIZE_TYPE }
    const isGrown = last ? await verifyConsistency(last, { root, size }, proof) : proof.length === 0
    if (!isGrown) return { status: 422, body: 'not consistent\n' }
    this.#seen.set(origin, { root, size })
    const sign = (bytes: Uint8Array) => this.#sign(bytes)
    return { status: 200, body: await cosign(body, this.name, this.#publicKey, this.now(), sign) }
  }

  /** Signs whatever a test wants it to have signed. */
  async sign(body: string, seconds = this.now()): Promise<string> {
    return cosign(body, this.name, this.#publicKey, seconds, (bytes) => this.#sign(bytes))
  }

  async #sign(bytes: Uint8Array): Promise<Uint8Array> {
    const message = Uint8Array.from(bytes)
    return new Uint8Array(await crypto.subtle.sign('Ed25519', this.#keys.privateKey, message))
  }
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts)
}
