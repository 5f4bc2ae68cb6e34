// The envelope door of an `EmbassyWorld`: a client that keeps what it sent, the relay's own code, and a workload that hands
// over the vector it is told to. The relay asks for each reveal and commit more than once.
import {
  type Action,
  check,
  concat,
  finalFrameSchema,
  fromBase64url,
  fromRpcError,
  fromUtf8,
  headFrameSchema,
  importTransportKey,
  parseStrict,
  RelayFrameReader,
  type ResponseContext,
  type Revealed,
  readResponse,
  sealedHeadSchema,
  sealRequest,
  sha256,
  signInstructions,
  toHex,
  toRpcError,
  utf8,
} from '@sealed/protocol'
import { Outgoing } from '../relay/outgoing.ts'
import type { SessionDeps } from '../relay/run-session.ts'
import { sealedDoor } from '../relay/sealed-door.ts'
import { DIGEST, type EmbassyWorld, ENDPOINT } from './embassy-world.ts'
import type { SealedAnswer } from './seen.ts'

export interface SentEnvelope {
  body: Uint8Array
  nonce: string
  context: ResponseContext
  action: Action['type']
  /** Status of its answer where nothing fails. */
  status: number
}

/** What the workload is asked: to hand a vector over, or to have its client gone. */
interface Input {
  vector?: number[]
  leave?: true
}

const READ = { type: 'read' } as const
const write = (capability: string) => ({ type: 'write', capability, polarity: 'positive' }) as const

export class EnvelopeClient {
  readonly #world: EmbassyWorld
  readonly #tenantSecret: Uint8Array | undefined

  /** One that a machine knows again where it is given a tenant secret. */
  constructor(world: EmbassyWorld, tenantSecret?: Uint8Array) {
    this.#world = world
    this.#tenantSecret = tenantSecret
  }

  use = (vector: number[]) => this.#ask({ vector })
  /** Writes `vector` as another signature of the authority's one capability. */
  write = (vector: number[]) => this.#ask({ vector }, write('x'))
  read = () => this.#ask(undefined, READ)

  /** Is gone once the workload is at work; says whether the session ended so. */
  async leave(): Promise<void> {
    const answer = await this.send(await this.#make({ leave: true }))
    if (!answer.output.includes('the client left')) throw failed(answer)
  }

  async #ask(input?: Input, action?: Action): Promise<SealedAnswer> {
    const answer = await this.send(await this.#make(input, action))
    if (answer.status !== 200) throw failed(answer)
    return answer
  }

  async #make(input?: Input, action?: Action): Promise<SentEnvelope> {
    const { authority, k, seen, transport } = this.#world.machine
    const to = await importTransportKey(fromBase64url(transport.records()[0]!.spki))
    const instruct = (inputDigest: string, nonce: string) =>
      signInstructions(
        { action: action!, audience: to.id, input_digest: inputDigest, nonce },
        authority,
      )
    const sealed = await sealRequest(to, {
      workload: 'w',
      endpoint: ENDPOINT,
      expect: {
        key_set: toHex(k),
        metering: 'required',
        seal_policy: this.#world.fleet.workload.config.seal_policy,
        workload: DIGEST,
      },
      ...(this.#tenantSecret && { tenantSecret: this.#tenantSecret }),
      input: input ? utf8(JSON.stringify(input)) : new Uint8Array(0),
      instructions: action ? instruct : async () => '',
    })
    const { header, headerDigest, secrets } = sealed
    const context = { responseSecret: secrets.responseSecret, headerDigest }
    const sent = {
      body: utf8(sealed.body),
      nonce: header.nonce,
      context,
      action: action?.type ?? 'update',
      status: input?.leave ? 424 : 200,
    }
    seen.sent.push(sent)
    return sent
  }

  /** Sends an envelope, new or not; throws where it is refused, or where its answer is cut. */
  async send(sent: SentEnvelope): Promise<SealedAnswer> {
    const taken: Uint8Array[] = []
    const outgoing = new Outgoing({
      bytesWritten: 0,
      writableLength: 0,
      destroyed: false,
      write: (bytes) => taken.push(bytes),
      destroy: () => {},
    })
    const deps = { embassy: this.#embassy(), workload: this.#workload(() => outgoing.left()) }
    await sealedDoor(deps, '', sent.body, outgoing)
    const [first, ...rest] = new RelayFrameReader().push(concat(...taken))
    const { session } = check(
      sealedHeadSchema,
      parseStrict(fromUtf8(first!.bytes)),
      'head',
      'response.invalid',
    )
    const frames = { head: '', data: '', beat: '', final: '' }
    const response = new Blob(rest.map(({ bytes }) => bytes)).stream()
    for await (const { type, plaintext } of readResponse(sent.context, response))
      frames[type] += fromUtf8(plaintext)
    const answer = {
      id: session,
      sent,
      status: check(headFrameSchema, parseStrict(frames.head), 'head', 'response.invalid').status,
      output: frames.data,
      receipt: check(finalFrameSchema, parseStrict(frames.final), 'final', 'response.invalid')
        .receipt,
    }
    this.#world.machine.seen.answers.push(answer)
    return answer
  }

  /** Sessions as the relay has them: of an error only what goes over a socket. */
  #embassy(): SessionDeps['embassy'] {
    const { machine, sessions } = this.#world
    const { seen } = machine
    const overSocket = <T>(call: Promise<T>): Promise<T> =>
      call.catch((error: unknown) => {
        throw fromRpcError(toRpcError(error))
      })
    const insisting = async <T>(session: string, ask: () => Promise<T>): Promise<T> => {
      const isGiven = () =>
        ask().then(
          () => true,
          () => false,
        )
      const first = overSocket(ask())
      const beside = isGiven()
      await first.catch(() => {})
      if ((await beside) || (await isGiven())) seen.twice.push(session)
      return first
    }
    const note = (session: string, revealed: Revealed) => {
      if (revealed.kind === 'replica') seen.revealed.set(session, revealed.address)
      return revealed
    }
    return {
      open: async (request) => {
        const opened = await overSocket(sessions.open(request))
        if (opened.door === 'plain') throw new Error('the plain door')
        return opened
      },
      reveal: (id) => insisting(id, async () => note(id, await sessions.reveal(id))),
      commit: (id, commit) =>
        insisting(id, async () => (await sessions.commit(id, commit)).receipt),
      abort: async (id, abort) => (await overSocket(sessions.abort(id, abort)))?.receipt,
    }
  }

  #workload(leaves: () => void): SessionDeps['workload'] {
    return {
      call: async ({ address }, { body, session }, signal) => {
        const { leave, vector } = JSON.parse(fromUtf8(body)) as Input
        if (leave) leaves()
        signal.throwIfAborted()
        this.#world.handOver(address, vector!, session)
        const output = utf8('{"answer":1}')
        return {
          status: 200,
          contentType: 'application/json',
          body: output,
          bytes: output.length,
          sha256: await sha256(output),
        }
      },
    }
  }
}

const failed = ({ output, status }: SealedAnswer) => new Error(`${status}: ${output}`)
