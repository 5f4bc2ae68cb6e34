// The ways to the same no-op server that the drop-in benchmark compares, called as a load generator calls.
import { readFile } from 'node:fs/promises'
import { attest, createSealedFetch } from '@sealed/client'
import {
  ENVELOPE_TYPE,
  fromBase64url,
  importTransportKey,
  type Policy,
  parsePolicy,
  RESPONSE_TYPE,
  readResponse,
  type SealedRequest,
  sealRequest,
  utf8,
} from '@sealed/protocol'
import { Agent, request } from 'undici'
import type { Instance } from '../../scripts/up.ts'
import type { Beside } from './beside.ts'

const ENDPOINT = '/v1/chat/completions'
const JSON_TYPE = { 'content-type': 'application/json' }

/** The envelope door where its clients are other machines. */
export const DOOR_ALONE = 'envelope door, opened later'

/** By the clock that all processes of a machine have, in microseconds. */
const nowUs = (): number => Number(process.hrtime.bigint() / 1000n)

/** Takes a piece of an answer, and when it came. */
export type Take = (piece: Uint8Array, atUs: number) => void

export interface Path {
  name: string
  /** Calls for an answer, which is read to its end. */
  call(body: string, take: Take): Promise<void>
  /** What so many calls can do before the clock runs. */
  prepare?(calls: number, body: string): Promise<void>
  /** What can wait until it has stopped: `take` may be called here first. */
  settle?(): Promise<void>
}

export interface Paths {
  all: readonly Path[]
  close(): Promise<void>
}

export async function pathsTo(instance: Instance, { bare, nginx, hono }: Beside): Promise<Paths> {
  const agent = new Agent({ connections: 256 })
  const policy = parsePolicy(await readFile(instance.paths.policy, 'utf8'))
  return {
    all: [
      plain('the workload, bare', bare, agent),
      plain('nginx', nginx, agent),
      plain('bare Hono proxy', hono, agent),
      plain('plain door', instance.url, agent),
      await prepared(instance, policy, agent),
      verified(instance, policy),
    ],
    close: () => agent.close(),
  }
}

async function post(
  url: string,
  { headers, body, agent }: { headers: Record<string, string>; body: string; agent: Agent },
  take: Take,
): Promise<void> {
  const answer = await request(url, { method: 'POST', headers, body, dispatcher: agent })
  for await (const piece of answer.body as AsyncIterable<Uint8Array>) take(piece, nowUs())
  if (answer.statusCode !== 200) throw new Error(`${url} answered ${answer.statusCode}`)
}

const plain = (name: string, base: string, agent: Agent): Path => ({
  name,
  call: (body, take) => post(base + ENDPOINT, { headers: JSON_TYPE, body, agent }, take),
})

/** The envelope door by itself: envelopes are sealed beforehand and answers opened afterwards, as on other machines. */
async function prepared(instance: Instance, policy: Policy, agent: Agent): Promise<Path> {
  const { document, keySetDigest, transportKey } = await attest({ url: instance.url, policy })
  const { metering, workloads } = document.configuration
  const [workload] = workloads
  const key = await importTransportKey(fromBase64url(transportKey.spki))
  const seal = (body: string) =>
    sealRequest(
      key,
      {
        workload: workload!.name,
        endpoint: ENDPOINT,
        expect: {
          key_set: keySetDigest,
          metering,
          seal_policy: workload!.seal_policy,
          workload: workload!.digest,
        },
        input: utf8(body),
        instructions: async () => '',
        stream: 'stream' in (JSON.parse(body) as object),
      },
      Date.now(),
    )
  const sealed: SealedRequest[] = []
  const answers: { to: SealedRequest; pieces: [Uint8Array, number][]; take: Take }[] = []
  const headers = { 'content-type': ENVELOPE_TYPE, accept: RESPONSE_TYPE }
  return {
    name: DOOR_ALONE,
    async prepare(calls, body) {
      while (sealed.length < calls) sealed.push(await seal(body))
    },
    async call(_, take) {
      const to = sealed.pop()!
      const pieces: [Uint8Array, number][] = []
      const { body } = to
      await post(`${instance.url}/v1/sealed`, { headers, body, agent }, (piece, at) => {
        pieces.push([piece, at])
      })
      answers.push({ to, pieces, take })
    },
    async settle() {
      for (const { to, pieces, take } of answers.splice(0)) await open(to, pieces, take)
    },
  }
}

/** Throws for an answer that is not whole. */
async function open(
  { secrets, headerDigest }: SealedRequest,
  pieces: readonly [Uint8Array, number][],
  take: Take,
): Promise<void> {
  let atUs = 0
  async function* again() {
    for (const [piece, at] of pieces) {
      atUs = at
      yield piece
    }
  }
  const context = { responseSecret: secrets.responseSecret, headerDigest }
  for await (const { type, plaintext } of readResponse(context, again()))
    if (type === 'data') take(plaintext, atUs)
}

function verified(instance: Instance, policy: Policy): Path {
  const sealed = createSealedFetch({ gateway: instance.url, policy })
  return {
    name: 'envelope door, verified here',
    async call(body, take) {
      const options = { method: 'POST', headers: JSON_TYPE, body }
      const answer = await sealed(instance.url + ENDPOINT, options)
      if (!answer.ok) throw new Error(`envelope door: ${answer.status} ${await answer.text()}`)
      for await (const piece of answer.body as unknown as AsyncIterable<Uint8Array>)
        take(piece, nowUs())
    },
  }
}
