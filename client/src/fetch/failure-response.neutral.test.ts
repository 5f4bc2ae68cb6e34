import { CODES, type Code, SealedError, type Verdict } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { GatewayFailure, VerdictError } from '../failure.ts'
import { failureResponse, invitesRetry } from './failure-response.ts'

const evidence = {
  document: {} as never,
  request: new Uint8Array(1),
  salt: new Uint8Array(32),
  receipt: 'AAAA',
  receiptId: 'ab'.repeat(16),
}
const codes = Object.keys(CODES) as Code[]

describe('a failure as an SDK sees it', () => {
  it('never invites to send again once a key may be revealed', () => {
    for (const code of codes)
      for (const status of [400, 408, 409, 424, 429, 500, 502, 503, 504]) {
        const options = { status, evidence, retryAfterMs: 1000 }
        const response = failureResponse(new GatewayFailure(code, 'x', options), true)
        expect(response.status).toBe(424)
        expect(response.headers.get('x-should-retry')).toBe('false')
        expect(response.headers.get('retry-after')).toBeNull()
      }
    for (const code of codes) {
      const response = failureResponse(new SealedError(code, 'x'), true)
      expect(invitesRetry(response.status), code).toBe(false)
    }
    expect(failureResponse(new TypeError('x'), true).status).toBe(424)
  })

  it('says of a refusal at the door what the gateway said, when that is sure', () => {
    const at = (status: number, code: Code, retryAfterMs?: number) =>
      failureResponse(
        new GatewayFailure(code, 'x', {
          status,
          ...(retryAfterMs !== undefined && { retryAfterMs }),
        }),
        true,
      )
    expect(at(503, 'queue.full', 2500).status).toBe(503)
    expect(at(503, 'queue.full', 2500).headers.get('retry-after')).toBe('3')
    expect(at(503, 'queue.full', 2500).headers.get('x-should-retry')).toBeNull()
    expect(at(429, 'limit.rate', 0).headers.get('retry-after')).toBe('1')
    expect(at(401, 'request.unauthorized').status).toBe(401)
    // of an intermediary that gave up waiting, or an embassy that broke: the session may have run
    for (const status of [500, 502, 504, 408, 409])
      expect(at(status, 'internal.error').status).toBe(424)
    expect(at(503, 'embassy.unavailable').status).toBe(424)
    expect(at(503, 'tpm.failed', 1000).status).toBe(424)
  })

  it('invites to come again where nothing can have arrived', () => {
    const unreached = (code: string) =>
      new SealedError('gateway.unreachable', 'x', {
        cause: new TypeError('fetch failed', { cause: { code } }),
      })
    expect(failureResponse(unreached('ECONNREFUSED'), true).status).toBe(503)
    expect(failureResponse(unreached('ECONNRESET'), true).status).toBe(424)
    expect(failureResponse(unreached('UND_ERR_HEADERS_TIMEOUT'), true).status).toBe(424)
    expect(failureResponse(unreached('ECONNRESET'), false).headers.get('retry-after')).toBe('1')
  })

  it('is OpenAI’s error object, with the receipt where there is one', async () => {
    const options = { evidence, status: 424, param: 'model' }
    const response = failureResponse(new GatewayFailure('workload.timeout', 'late', options), true)
    expect(await response.json()).toEqual({
      error: { message: 'late', type: 'session_error', code: 'workload.timeout', param: 'model' },
      receipt: 'AAAA',
    })
    expect(response.headers.get('sealed-receipt-id')).toBe(evidence.receiptId)
    const verdict = { outcome: 'failed', policy: 'p', checks: [], claims: {} } as unknown as Verdict
    const refused = failureResponse(new VerdictError('no', verdict), false)
    expect(refused.status).toBe(424)
    expect(refused.headers.get('sealed-verdict')).toBe('failed')
    expect(failureResponse(new SealedError('endpoint.unknown', 'x'), false).status).toBe(404)
  })
})
