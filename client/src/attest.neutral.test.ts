import { SealedError, STRICT_POLICY } from '@sealed/protocol'
import { beforeAll, describe, expect, it } from 'vitest'
import { ask } from './ask.ts'
import { attest, currentTransportKey, inspect } from './attest.ts'
import { VerdictError } from './failure.ts'
import { createSealedFetch } from './fetch/sealed-fetch.ts'
import { type Bends, errorResponse, serve } from './test-support/gateway-double.ts'
import { hexOf, MachineDouble, NOW } from './test-support/machine-double.ts'

const url = 'http://127.0.0.1:8080'
const now = () => NOW
let machine: MachineDouble
beforeAll(async () => {
  machine = await MachineDouble.create()
})

const attestWith = (bends: Bends = {}, policy = machine.policy) => {
  const { calls, fetch } = serve(machine, bends)
  return { calls, attested: attest({ url, policy, fetch, now }) }
}

describe('attest', () => {
  it('returns a verified document, its key set and the key to seal to', async () => {
    const attested = await attestWith().attested
    expect(attested.verdict.outcome).toBe('verified')
    expect(attested.documentDigest).toBe(machine.digest)
    expect(attested.transportKey).toEqual(machine.document.transport_keys[0])
    const challenge = attested.verdict.checks.find(({ id }) => id === 'document.challenge')
    expect(challenge).toMatchObject({ result: 'pass', required: true })
  })

  it.each([
    ['none at all', () => null],
    ['a name', () => 'dev'],
    ['one without a member', () => ({ ...machine.policy, workloads: undefined })],
    ['one that says more than is known', () => ({ ...machine.policy, workload: [] })],
  ])('asks nothing under what is no policy: %s', async (_name, policy) => {
    const { attested, calls } = attestWith({}, policy() as never)
    await expect(attested).rejects.toMatchObject({ code: 'config.invalid' })
    expect(calls).toEqual([])
    const options = { gateway: url, policy: policy() as never }
    expect(() => createSealedFetch(options)).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    )
  })

  it('sends a fresh nonce of 32 bytes each time', async () => {
    const nonces: (string | null)[] = []
    const bends: Bends = {
      before: (target) => {
        nonces.push(target.searchParams.get('nonce'))
        return undefined
      },
    }
    await attestWith(bends).attested
    await attestWith(bends).attested
    expect(nonces[0]).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(nonces[1]).not.toBe(nonces[0])
  })

  it.each([
    ['the strict default', () => STRICT_POLICY],
    ['another workload', () => ({ ...machine.policy, workloads: [hexOf(1)] })],
    ['another root', () => ({ ...machine.policy, ak_roots: [hexOf(1)] })],
    ['a missing authority', () => ({ ...machine.policy, authorities: ['00'.repeat(16)] })],
  ])('refuses a document that fails the policy: %s', async (_name, policy) => {
    const { attested, calls } = attestWith({}, policy())
    const error = await attested.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(VerdictError)
    expect(error).toMatchObject({ code: 'verdict.failed', verdict: { outcome: 'failed' } })
    expect(calls).toEqual(['GET /v1/attestation'])
  })

  it('takes evidence that cannot be judged as incomplete, never as verified', async () => {
    const policy = { ...machine.policy, evidence: ['tpm' as const, 'sev-snp' as const] }
    const error = await attestWith({}, policy).attested.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'verdict.failed', verdict: { outcome: 'incomplete' } })
  })

  it('does not take a document without a challenge quote for fresh', async () => {
    const attestation: Bends['attestation'] = ({ document }) => ({ document })
    const error = await attestWith({ attestation }).attested.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'verdict.failed', verdict: { outcome: 'incomplete' } })
  })

  it('does not take an answer recorded for another nonce', async () => {
    const recorded = await machine.answer(new Uint8Array(32))
    const error = await attestWith({ attestation: () => recorded }).attested.catch(
      (reason: unknown) => reason,
    )
    expect(error).toMatchObject({ verdict: { outcome: 'failed' } })
  })

  it('refuses a machine whose transport key is not valid now', async () => {
    const validity = { not_before_ms: NOW - 10, not_after_ms: NOW - 1 }
    const expired = await MachineDouble.create({ validity })
    const { calls, fetch } = serve(expired)
    await expect(attest({ url, policy: expired.policy, fetch, now })).rejects.toMatchObject({
      code: 'envelope.key_unknown',
    })
    expect(calls).toEqual(['GET /v1/attestation'])
  })

  it('says so when what answers is no sealed gateway', async () => {
    const page = () => new Response('<html>', { headers: { 'content-type': 'text/html' } })
    await expect(attestWith({ before: page }).attested).rejects.toMatchObject({
      code: 'evidence.invalid',
    })
    const busy = () => errorResponse(503, 'attestation.busy', 'too many', { 'retry-after': '2' })
    await expect(attestWith({ before: busy }).attested).rejects.toMatchObject({
      code: 'attestation.busy',
      retryAfterMs: 2000,
    })
  })
})

describe('inspect', () => {
  it('returns a failed verdict like any other', async () => {
    const { fetch } = serve(machine)
    const { verdict } = await inspect({ url, policy: STRICT_POLICY, fetch, now })
    expect(verdict.outcome).toBe('failed')
  })
})

describe('ask, as far as attestation decides', () => {
  it('sends nothing to a machine whose verdict is not verified, whoever asks', async () => {
    const { calls, fetch } = serve(machine)
    const attested = await attest({ url, policy: machine.policy, fetch, now })
    const forged = { ...attested, verdict: { ...attested.verdict, outcome: 'failed' as const } }
    await expect(
      ask({ attested: forged, endpoint: '/v1/chat/completions', body: new Uint8Array(1) }),
    ).rejects.toBeInstanceOf(VerdictError)
    expect(calls).not.toContain('POST /v1/sealed')
  })

  it('sends nothing once the transport key has expired', async () => {
    const { calls, fetch } = serve(machine)
    let clock = NOW
    const attested = await attest({ url, policy: machine.policy, fetch, now: () => clock })
    clock = attested.transportKey.not_after_ms + 1
    await expect(
      ask({ attested, endpoint: '/v1/chat/completions', body: new Uint8Array(1) }),
    ).rejects.toMatchObject({ code: 'envelope.key_unknown' })
    expect(calls).toEqual(['GET /v1/attestation'])
  })

  it('seals to the newest of the keys that are valid', () => {
    const [key] = machine.document.transport_keys
    const later = { ...key!, id: hexOf(9), not_before_ms: NOW - 1 }
    const future = { ...key!, id: hexOf(8), not_before_ms: NOW + 1 }
    const document = { ...machine.document, transport_keys: [key!, later, future] }
    expect(currentTransportKey(document, NOW).id).toBe(later.id)
    expect(() => currentTransportKey({ ...document, transport_keys: [] }, NOW)).toThrow(SealedError)
  })
})
