// An ACME server (RFC 8555) for tests: HTTPS, signed requests, tls-alpn-01 by a real handshake with the gateway, one
// certificate per order. Its members are what a test bends before it asks.
import { createHash, type JsonWebKey, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import forge from 'node-forge'
import { A_DAY, type Life, type TestCa } from './acme-ca.ts'
import {
  checkBinding,
  openJws,
  type Problem,
  problem,
  type Signed,
  thumbprint,
} from './acme-jws.ts'
import { validate } from './acme-validate.ts'

interface Order {
  names: string[]
  status: string
  tokens: string[]
  /** Of each name: what is wrong; undefined when it is proved, null while nobody looked. */
  verdicts: (string | undefined | null)[]
  /** Looks for which it says `processing`. */
  slow: number
  chain?: string
}

interface Answer {
  status?: number
  location?: string
  body?: unknown
  text?: string
  headers?: Record<string, string>
}

export class AcmeServer {
  readonly ca: TestCa
  /** `POST /path`, in the order in which they came. */
  readonly requests: string[] = []
  /** SHA-256 of the SPKI of each certificate request, hex. */
  readonly requested: string[] = []
  /** Where names are validated, whatever DNS says; a server that has to wait for it answers late. */
  gatewayPort: number | Promise<number> = 0
  /** Nonces that are refused although they are good. */
  badNonces = 0
  /** Answers in place of the next one at a path. */
  readonly instead = new Map<string, Problem | Answer>()
  slowLooks = 0
  life: Life = A_DAY
  external: { keyId: string; hmacKey: string } | undefined
  /** Issues something else than what was asked for. */
  issue: ((names: string[]) => string) | undefined
  /** Names that an order is said to need. */
  needed: ((names: string[]) => string[]) | undefined
  /** What the directory says of an address. */
  address: (path: string) => string
  readonly #server: Server
  readonly #nonces = new Set<string>()
  readonly #accounts: JsonWebKey[] = []
  readonly #orders: Order[] = []

  private constructor(ca: TestCa) {
    this.ca = ca
    this.address = (path) => this.origin + path
    this.#server = createServer(ca.server('127.0.0.1', 'localhost'), (incoming, outgoing) => {
      void this.#answer(incoming, outgoing)
    })
  }

  static async start(ca: TestCa): Promise<AcmeServer> {
    const server = new AcmeServer(ca)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get origin(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get directory(): string {
    return `${this.origin}/directory`
  }

  /** How many accounts there are, and orders. */
  get accounts(): number {
    return this.#accounts.length
  }
  get orders(): number {
    return this.#orders.length
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    let text = ''
    for await (const part of incoming) text += part
    const path = incoming.url ?? ''
    this.requests.push(`${incoming.method} ${path}`)
    const nonce = randomBytes(16).toString('base64url')
    this.#nonces.add(nonce)
    const send = ({ status = 200, location, body, text, headers }: Answer) => {
      outgoing.writeHead(status, {
        'content-type': 'application/json',
        'replay-nonce': nonce,
        ...(location !== undefined && { location }),
        ...headers,
      })
      outgoing.end(text ?? (body === undefined ? undefined : JSON.stringify(body)))
    }
    try {
      const bent = this.instead.get(path)
      this.instead.delete(path)
      if (bent && !('detail' in bent)) return send(bent)
      if (bent) throw bent
      send(incoming.method === 'POST' ? await this.#post(path, text) : this.#get(path))
    } catch (error) {
      const {
        status = 500,
        type = 'serverInternal',
        detail = String(error),
        retryAfter,
      } = error as Problem
      send({
        status,
        body: { type: `urn:ietf:params:acme:error:${type}`, detail },
        headers: {
          'content-type': 'application/problem+json',
          ...(retryAfter !== undefined && { 'retry-after': retryAfter }),
        },
      })
    }
  }

  #get(path: string): Answer {
    if (path === '/nonce') return {}
    if (path !== '/directory') throw problem(404, 'malformed', path)
    const { address } = this
    return {
      body: {
        newNonce: address('/nonce'),
        newAccount: address('/account'),
        newOrder: address('/order'),
      },
    }
  }

  async #post(path: string, text: string): Promise<Answer> {
    const request = openJws(
      text,
      this.origin + path,
      (kid) => this.#accounts[Number(kid.split('/account/')[1])],
      (nonce) => this.#useNonce(nonce),
    )
    const [, kind, id = '', part = ''] = path.split('/')
    if (path === '/account') return this.#account(request)
    if (!request.kid) throw problem(400, 'malformed', 'kid')
    if (kind === 'account') return { body: { status: 'valid' } }
    if (path === '/order') return this.#newOrder(request)
    const order = this.#orders[Number(id)]
    if (!order) throw problem(404, 'malformed', path)
    if (kind === 'authorization') return { body: this.#authorization(Number(id), Number(part)) }
    if (kind === 'challenge') return this.#challenge(Number(id), Number(part), request)
    if (kind === 'finalize') return this.#finalize(Number(id), order, request)
    if (kind === 'certificate')
      return {
        text: order.chain!,
        headers: { 'content-type': 'application/pem-certificate-chain' },
      }
    if (order.slow > 0) order.slow -= 1
    else if (order.status === 'processing') order.status = 'valid'
    return { body: this.#order(Number(id)) }
  }

  #useNonce(nonce: unknown): boolean {
    if (this.badNonces > 0) {
      this.badNonces -= 1
      return false
    }
    return typeof nonce === 'string' && this.#nonces.delete(nonce)
  }

  #account({ jwk, kid, payload }: Signed): Answer {
    if (kid) throw problem(400, 'malformed', 'jwk')
    if (payload?.termsOfServiceAgreed !== true) throw problem(403, 'userActionRequired', 'terms')
    if (this.external)
      checkBinding(
        payload.externalAccountBinding as never,
        this.external,
        jwk,
        `${this.origin}/account`,
      )
    const known = this.#accounts.findIndex((one) => thumbprint(one) === thumbprint(jwk))
    if (known < 0) this.#accounts.push(jwk)
    const id = known < 0 ? this.#accounts.length - 1 : known
    return {
      status: known < 0 ? 201 : 200,
      location: this.address(`/account/${id}`),
      body: { status: 'valid' },
    }
  }

  #newOrder({ payload }: Signed): Answer {
    const asked = (payload!.identifiers as { type: string; value: string }[]).map(
      ({ value }) => value,
    )
    const names = this.needed?.(asked) ?? asked
    const tokens = names.map(() => randomBytes(16).toString('base64url'))
    const verdicts = names.map(() => null)
    this.#orders.push({ names, status: 'pending', tokens, verdicts, slow: this.slowLooks })
    const id = this.#orders.length - 1
    return { status: 201, location: this.address(`/order/${id}`), body: this.#order(id) }
  }

  #order(id: number) {
    const { names, status, chain } = this.#orders[id]!
    return {
      status,
      identifiers: names.map((value) => ({ type: 'dns', value })),
      authorizations: names.map((_, i) => this.address(`/authorization/${id}/${i}`)),
      finalize: this.address(`/finalize/${id}`),
      ...(chain !== undefined &&
        status === 'valid' && { certificate: this.address(`/certificate/${id}`) }),
    }
  }

  #authorization(id: number, i: number) {
    const { names, tokens, verdicts } = this.#orders[id]!
    const verdict = verdicts[i]
    const status = verdict === null ? 'pending' : verdict === undefined ? 'valid' : 'invalid'
    const of = (type: string) => ({
      type,
      status,
      token: tokens[i],
      url: this.address(`/challenge/${id}/${i}`),
      ...(verdict && { error: { type: 'urn:ietf:params:acme:error:connection', detail: verdict } }),
    })
    return {
      status,
      identifier: { type: 'dns', value: names[i] },
      challenges: [of('http-01'), of('tls-alpn-01')],
    }
  }

  async #challenge(id: number, i: number, { jwk, payload }: Signed): Promise<Answer> {
    if (payload === undefined) throw problem(400, 'malformed', 'payload')
    const order = this.#orders[id]!
    const keyAuthorization = `${order.tokens[i]}.${thumbprint(jwk)}`
    order.verdicts[i] = await validate(await this.gatewayPort, order.names[i]!, keyAuthorization)
    if (order.verdicts[i] !== undefined) order.status = 'invalid'
    else if (order.verdicts.every((one) => one === undefined)) order.status = 'ready'
    return { body: this.#authorization(id, i).challenges[1] }
  }

  #finalize(id: number, order: Order, { payload }: Signed): Answer {
    if (order.status !== 'ready') throw problem(403, 'orderNotReady', order.status)
    const body = Buffer.from(String(payload?.csr), 'base64url').toString('base64')
    const csr = forge.pki.certificationRequestFromPem(
      `-----BEGIN CERTIFICATE REQUEST-----\n${body}\n-----END CERTIFICATE REQUEST-----\n`,
    )
    if (!csr.verify()) throw problem(400, 'badCSR', 'signature')
    const { extensions } = csr.getAttribute({ name: 'extensionRequest' }) as unknown as {
      extensions: { name: string; altNames: { value: string }[] }[]
    }
    const altNames = extensions.find(({ name }) => name === 'subjectAltName')?.altNames ?? []
    if (`${altNames.map(({ value }) => value).sort()}` !== `${[...order.names].sort()}`)
      throw problem(400, 'badCSR', 'names')
    const spki = forge.asn1.toDer(forge.pki.publicKeyToAsn1(csr.publicKey!)).getBytes()
    this.requested.push(createHash('sha256').update(spki, 'latin1').digest('hex'))
    order.chain = this.issue?.(order.names) ?? this.ca.issue(csr.publicKey!, order.names, this.life)
    order.status = 'processing'
    return { body: this.#order(id) }
  }
}
