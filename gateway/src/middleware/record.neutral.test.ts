// Mutants: `routeOf` made `c.req.path`; `record` after `requestId` and `cors` in app.ts, or inside `keyed`; `code` not
// set in answerError; `bodyBytes` not set in body.ts.
import { describe, expect, it } from 'vitest'
import type { RequestRecord, Sent } from '../deps.ts'
import { chat, DIGEST, envelope, fakeApp, ID, keyEntry, NOW, post } from '../test-support/fakes.ts'

const apiKeys = [await keyEntry('sk-a', 'alice')]
const TRACE = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`

function world(parts: Parameters<typeof fakeApp>[0] = {}) {
  const records: RequestRecord[] = []
  const { app } = fakeApp({ record: (one) => records.push(one), ...parts })
  return { app, records }
}

describe('the record of a request', () => {
  it('says who asked what, and what became of it', async () => {
    const { app, records } = world({ apiKeys: () => apiKeys })
    const headers = { authorization: 'Bearer sk-a', 'x-request-id': 'r-1', traceparent: TRACE }
    const answer = await app.request('/v1/chat/completions', post(chat(), headers))
    expect(answer.status).toBe(200)
    expect(records).toEqual([
      {
        requestId: 'r-1',
        traceId: 'a'.repeat(32),
        parentId: 'b'.repeat(16),
        method: 'POST',
        route: '/v1/chat/completions',
        caller: 'alice',
        status: 200,
        session: ID,
        bytesIn: chat().length,
        bytesOut: expect.any(Number),
        isWhole: true,
        ms: expect.any(Number),
      },
    ])
  })

  it('is there of every refusal, with its code', async () => {
    const { app, records } = world({ apiKeys: () => apiKeys, limits: { requestsPerMinute: 1 } })
    const authorization = 'Bearer sk-a'
    await app.request('/v1/chat/completions', post(chat()))
    await app.request('/v1/chat/completions', post('{', { authorization }))
    await app.request('/v1/chat/completions', post(chat(), { authorization }))
    await app.request('/v1/attestation', { method: 'DELETE' })
    await app.request('/secret/path?query')
    expect(records.map(({ route, status, code, caller }) => [route, status, code, caller])).toEqual(
      [
        ['/v1/chat/completions', 401, 'request.unauthorized', undefined],
        ['/v1/chat/completions', 400, 'request.invalid', 'alice'],
        ['/v1/chat/completions', 429, 'limit.rate', 'alice'],
        ['/v1/attestation', 405, 'request.method', undefined],
        ['none', 404, 'request.not_found', undefined],
      ],
    )
    expect(records.every(({ requestId }) => requestId.length === 36)).toBe(true)
  })

  it('names routes of a fixed set, whatever is asked, and nothing of contents', async () => {
    const { app, records } = world()
    const { body } = await envelope(NOW)
    const sealed = { 'content-type': 'application/vnd.sealed-request+json' }
    await (await app.request('/v1/sealed', post(body, sealed))).arrayBuffer()
    for (const path of [
      `/v1/receipts/${ID}`,
      `/v1/receipts/${ID}/proof`,
      `/v1/attestation/${DIGEST}`,
      '/v1/attestation?nonce=c2VjcmV0LXNlY3JldC0xMjM',
      '/log/0123456789abcdef/checkpoint',
      '/log/secret',
      '/v1/models',
      '/v1/status',
      '/health/live',
      '/v1/receipts/a/b/c',
    ])
      await app.request(path)
    expect(records.map(({ route }) => route)).toEqual([
      '/v1/sealed',
      '/v1/receipts/:id',
      '/v1/receipts/:id/proof',
      '/v1/attestation/:digest',
      '/v1/attestation',
      '/log/*',
      '/log/*',
      '/v1/models',
      '/v1/status',
      '/health/live',
      '/v1/receipts/*',
    ])
    expect(JSON.stringify(records)).not.toMatch(/secret|c2VjcmV0/)
  })

  it('is made when the runtime says that the answer has left', async () => {
    const waiting: ((sent: Sent) => void)[] = []
    const { app, records } = world({ whenSent: (_, done) => waiting.push(done) })
    await app.request('/v1/models')
    expect(records).toEqual([])
    waiting[0]!({ status: 200, bytesOut: 7, isWhole: false })
    expect(records).toMatchObject([{ route: '/v1/models', bytesOut: 7, isWhole: false }])
  })
})
