import {
  canonicalBytes,
  decodeReceipt,
  documentDigest,
  fromUtf8,
  utf8,
  verifyReceipt,
} from '@sealed/protocol'
import { beforeAll, describe, expect, it } from 'vitest'
import { type AskOptions, ask, type SessionEvent } from './ask.ts'
import { attest } from './attest.ts'
import { GatewayFailure, VerdictError } from './failure.ts'
import { type Bends, serve } from './test-support/gateway-double.ts'
import { MachineDouble, NOW, workloadOf } from './test-support/machine-double.ts'
import { aborted } from './test-support/session-double.ts'

const url = 'http://127.0.0.1:8080'
const now = () => NOW
let machine: MachineDouble
let other: MachineDouble
beforeAll(async () => {
  machine = await MachineDouble.create()
  other = await MachineDouble.create({ workloads: [workloadOf('one', 1), workloadOf('two', 3)] })
})

async function askWith(bends: Bends = {}, options: Partial<AskOptions> = {}, on = machine) {
  const gateway = serve(on, bends)
  const attested = await attest({ url, policy: on.policy, fetch: gateway.fetch, now })
  const request = { attested, endpoint: '/v1/chat/completions', body: utf8('question') }
  return { ...gateway, attested, answer: ask({ ...request, ...options }) }
}
const failure = (bends: Bends, options?: Partial<AskOptions>) =>
  askWith(bends, options).then(({ answer }) => answer.catch((error: unknown) => error))

describe('ask', () => {
  it('brings back the output and a receipt that verifies against the bytes sent and received', async () => {
    const { answer: pending, requests, sessions } = await askWith()
    const answer = await pending
    expect(answer.status).toBe(200)
    expect(answer.contentType).toBe('application/json')
    expect(fromUtf8(answer.output)).toContain('Forty-two.')
    expect(answer.request).toEqual(requests[0]!.body)
    expect(answer.receiptId).toBe(sessions[0]!.id)
    expect(answer.verdict.outcome).toBe('verified')
    for (const id of ['receipt.request', 'receipt.nonce', 'receipt.output'])
      expect(answer.verdict.checks.find((check) => check.id === id)?.result).toBe('pass')
    expect((await verifyReceipt(answer, machine.policy, NOW)).outcome).toBe('verified')
  })

  it.each(['failed', 'incomplete'] as const)(
    'sends nothing to a machine whose verdict is %s',
    async (outcome) => {
      const { answer, attested, requests } = await askWith()
      await answer
      const before = requests.length
      const unverified = { ...attested, verdict: { ...attested.verdict, outcome } }
      const { endpoint, body } = { endpoint: '/v1/chat/completions', body: utf8('question') }
      await expect(ask({ attested: unverified, endpoint, body })).rejects.toBeInstanceOf(
        VerdictError,
      )
      expect(requests).toHaveLength(before)
    },
  )

  it('insists on what the verified document says', async () => {
    const { answer, attested, sessions } = await askWith()
    await answer
    const workload = machine.document.configuration.workloads[0]!
    expect(sessions[0]!.header.expect).toEqual({
      key_set: attested.keySetDigest,
      metering: 'required',
      seal_policy: 'request',
      workload: workload.digest,
    })
    expect(fromUtf8(sessions[0]!.input)).toBe('question')
    expect(sessions[0]!.instructions).toEqual({ action: { type: 'update' } })
  })

  it('tells what happens, in order', async () => {
    const events: SessionEvent[] = []
    await (await askWith({}, { onEvent: (event) => events.push(event) })).answer
    const types = events.map(({ type }) => type)
    expect(types).toEqual(['prepared', 'admitted', 'head', 'data', 'data', 'judged'])
  })

  it('names the workloads when it cannot choose one', async () => {
    await expect((await askWith({}, {}, other)).answer).rejects.toThrow(/name one of one, two/)
    await expect((await askWith({}, { workload: 'six' }, other)).answer).rejects.toMatchObject({
      code: 'workload.unknown',
      param: 'workload',
    })
    const { answer, sessions } = await askWith({}, { workload: 'two' }, other)
    await answer
    expect(sessions[0]!.header.workload).toBe('two')
  })

  it('sends the API key with the envelope and with nothing else', async () => {
    const seen: [string, string | null][] = []
    const { fetch } = serve(machine, {
      before: (target, init) => {
        seen.push([target.pathname, new Headers(init.headers).get('authorization')])
        return undefined
      },
    })
    const apiKey = 'sk-sealed-test'
    const attested = await attest({ url, policy: machine.policy, fetch, now, apiKey })
    await ask({ attested, endpoint: '/v1/chat/completions', body: utf8('q') })
    expect(seen).toEqual([
      ['/v1/attestation', null],
      ['/v1/sealed', 'Bearer sk-sealed-test'],
    ])
  })

  it('follows a rotated transport key to the document that the receipt names', async () => {
    const rotated = { ...machine.document, started_ms: machine.document.started_ms }
    rotated.transport_keys = [...rotated.transport_keys, { ...rotated.transport_keys[0]! }]
    const digest = await documentDigest(rotated)
    const { answer, sessions } = await askWith({
      before: (target) =>
        target.pathname === `/v1/attestation/${digest}`
          ? new Response(canonicalBytes(rotated))
          : undefined,
      receipt: async (receipt) => renamed(receipt, digest),
    })
    expect((await answer).verdict.outcome).toBe('verified')
    expect((await answer).document.transport_keys).toHaveLength(2)
    expect(sessions).toHaveLength(1)
  })

  it('stops when the caller gives up', async () => {
    const controller = new AbortController()
    const body = () => new ReadableStream<Uint8Array>({ pull: () => controller.abort() })
    const error = await failure({ body }, { signal: controller.signal })
    expect(error).toBe(controller.signal.reason)
  })
})

describe('ask, when the receipt is wrong', () => {
  const expectVerdict = async (bends: Bends, id: string) => {
    const error = await failure(bends)
    expect(error).toBeInstanceOf(VerdictError)
    const { verdict } = error as VerdictError
    expect(verdict.outcome).toBe('failed')
    expect(verdict.checks.filter(({ result }) => result === 'fail').map((c) => c.id)).toContain(id)
    expect((error as VerdictError).evidence?.receipt).toBeDefined()
  }

  it('refuses the receipt of another session', async () => {
    const earlier = (await (await askWith()).answer).receipt
    await expectVerdict({ receipt: () => earlier }, 'receipt.request')
    await expectVerdict({ receipt: () => earlier }, 'receipt.nonce')
  })

  it('refuses the receipt of another machine', async () => {
    const stranger = await MachineDouble.create()
    const { answer } = await askWith({}, {}, stranger)
    const { receipt } = await answer
    await expectVerdict({ receipt: () => receipt }, 'receipt.document')
  })

  it('refuses an output that was not committed', async () => {
    const reply: Bends['reply'] = (_session, honest) => ({ ...honest, output: utf8('forged') })
    await expectVerdict({ reply }, 'receipt.output')
  })

  it('refuses a receipt that is none, and an answer without one', async () => {
    await expectVerdict({ receipt: () => 'AAAA' }, 'receipt.form')
    expect(await failure({ receipt: () => undefined })).toMatchObject({ code: 'receipt.missing' })
  })

  it('refuses a status that was not committed', async () => {
    const head = { status: 201, content_type: 'application/json' }
    const reply: Bends['reply'] = (_session, honest) => ({ ...honest, head })
    expect(await failure({ reply })).toMatchObject({ code: 'response.invalid' })
  })

  it('returns what came, with its verdict, to who asks for that', async () => {
    const reply: Bends['reply'] = (_session, honest) => ({ ...honest, output: utf8('forged') })
    const { answer } = await askWith({ reply }, { verdict: 'report' })
    expect((await answer).verdict.outcome).toBe('failed')
  })
})

describe('ask, when the session failed after the reveal', () => {
  it('throws the server’s code with the receipt, verified, and never sends again', async () => {
    const { answer, calls } = await askWith({ reply: (session) => aborted(machine)(session) })
    const error = await answer.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(GatewayFailure)
    const failed = error as GatewayFailure
    expect(failed).toMatchObject({ code: 'workload.timeout', remedy: 'stop', status: 424 })
    expect(failed.verdict?.outcome).toBe('verified')
    expect(failed.verdict?.claims.result).toBe('aborted')
    expect(failed.receipt).toBe(failed.evidence?.receipt)
    expect(calls.filter((call) => call.startsWith('POST'))).toHaveLength(1)
  })

  it('does not take a whole answer from a session that its receipt calls aborted', async () => {
    const reply: Bends['reply'] = (session, honest) => ({
      ...honest,
      statements: aborted(machine)(session).statements,
    })
    expect(await failure({ reply })).toMatchObject({ code: 'session.aborted' })
  })

  it('does not take an answer whose last frame names an error, however good its receipt', async () => {
    const error = { code: 'internal.error', message: 'something broke' }
    const final: Bends['final'] = (honest) => ({ ...honest, error })
    const failed = await failure({ final })
    expect(failed).toMatchObject({ code: 'internal.error', message: 'something broke' })
    expect((failed as GatewayFailure).verdict?.outcome).toBe('verified')
  })

  it('reads an error of a session that never came to a receipt', async () => {
    const reply: Bends['reply'] = (session) => aborted(machine)(session)
    const error = await failure({ reply, receipt: () => undefined })
    expect(error).toMatchObject({ code: 'workload.timeout', receipt: undefined })
  })

  it('keeps the salt and no key in the evidence', async () => {
    const reply: Bends['reply'] = (session) => aborted(machine)(session)
    const { answer, sessions } = await askWith({ reply })
    const { evidence } = (await answer.catch((error: unknown) => error)) as GatewayFailure
    const { salt, ...others } = evidence!
    expect(salt).toEqual(sessions[0]!.salt)
    expect(Object.keys(others).sort()).toEqual(['document', 'receipt', 'receiptId', 'request'])
  })
})

/** The same receipt naming another document: the test machine signs it anew under that name. */
async function renamed(receipt: string, document: string): Promise<string> {
  const { leaf } = decodeReceipt(receipt)
  return machine.receipt(leaf.session, leaf.statements, document)
}
