import {
  ENVELOPE_TYPE,
  ISSUED_WINDOW_MS,
  MAX_ENVELOPE_BYTES,
  RESPONSE_TYPE,
  SessionFailure,
  utf8,
} from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { abortedReceipt, envelope, fakeApp, ID, NOW, never, post } from '../test-support/fakes.ts'

const sealed = (body: BodyInit, headers: Record<string, string> = {}) =>
  post(body, { 'content-type': ENVELOPE_TYPE, ...headers })
const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code
const { body: good } = await envelope()

describe('POST /v1/sealed', () => {
  it('hands the very bytes on and the answer back as it comes', async () => {
    let seen: { caller: string; envelope: Uint8Array } | undefined
    let source: ReadableStreamDefaultController<Uint8Array> | undefined
    const { app } = fakeApp({
      relay: {
        sealed: async (call) => {
          seen = call
          return {
            receiptId: ID,
            body: new ReadableStream<Uint8Array>({
              start: (controller) => {
                source = controller
              },
            }).getReader(),
          }
        },
      },
    })
    const response = await app.request('/v1/sealed', sealed(good))
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe(RESPONSE_TYPE)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('x-accel-buffering')).toBe('no')
    expect(response.headers.get('sealed-receipt-id')).toBe(ID)
    expect(seen).toMatchObject({ caller: 'anonymous', envelope: utf8(good) })
    const reader = response.body!.getReader()
    for (const part of [Uint8Array.of(1), Uint8Array.of(2, 3)]) {
      source!.enqueue(part)
      expect((await reader.read()).value).toEqual(part)
    }
    source!.close()
    expect((await reader.read()).done).toBe(true)
  })

  it('breaks the answer off when the relay’s breaks off', async () => {
    const { app } = fakeApp({
      relay: {
        sealed: async () => {
          let sent = false
          return {
            receiptId: ID,
            body: new ReadableStream<Uint8Array>({
              pull(controller) {
                if (sent) controller.error(new Error('cut'))
                else controller.enqueue(Uint8Array.of(1))
                sent = true
              },
            }).getReader(),
          }
        },
      },
    })
    const response = await app.request('/v1/sealed', sealed(good))
    await expect(response.arrayBuffer()).rejects.toThrow()
  })

  it.each([
    ['truncated', good.slice(0, -9), 'envelope.invalid'],
    ['with bytes after it', `${good} `, 'envelope.invalid'],
    ['with an unknown member', good.replace('{', '{"a":1,'), 'envelope.invalid'],
    ['with a member twice', good.replace('{', `{"header":"AA",`), 'envelope.invalid'],
    ['empty', '', 'envelope.invalid'],
    ['not UTF-8', Uint8Array.of(0xff), 'envelope.invalid'],
  ] as [string, string | Uint8Array<ArrayBuffer>, string][])(
    'refuses an envelope %s',
    async (_, body, code) => {
      let calls = 0
      const { app } = fakeApp({
        relay: {
          sealed: () => {
            calls++
            throw new Error('not reached')
          },
        },
      })
      const response = await app.request('/v1/sealed', sealed(body))
      expect([response.status, await codeOf(response), calls]).toEqual([400, code, 0])
    },
  )

  it('refuses another version', async () => {
    const parsed = JSON.parse(good)
    const header = JSON.parse(atob(parsed.header.replaceAll('-', '+').replaceAll('_', '/')))
    const other = JSON.stringify({ ...header, version: 2 })
    parsed.header = btoa(other).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
    const response = await fakeApp().app.request('/v1/sealed', sealed(JSON.stringify(parsed)))
    expect([response.status, await codeOf(response)]).toEqual([400, 'envelope.version'])
  })

  it.each([
    [-ISSUED_WINDOW_MS - 1, 400],
    [-ISSUED_WINDOW_MS, 200],
    [ISSUED_WINDOW_MS, 200],
    [ISSUED_WINDOW_MS + 1, 400],
  ])('takes an envelope issued %i ms from now with %i', async (off, status) => {
    const { body } = await envelope(NOW + off)
    const response = await fakeApp().app.request('/v1/sealed', sealed(body))
    expect(response.status).toBe(status)
    if (status === 400) expect(await codeOf(response)).toBe('envelope.expired')
    else await response.body!.cancel()
  })

  it('refuses another media type with 415, and an encoded body', async () => {
    const { app } = fakeApp()
    for (const headers of [
      { 'content-type': 'application/json' },
      { 'content-type': `${ENVELOPE_TYPE}, ${ENVELOPE_TYPE}` },
      { 'content-type': '' },
      { 'content-encoding': 'gzip' },
    ] as Record<string, string>[]) {
      const response = await app.request('/v1/sealed', sealed(good, headers))
      expect([response.status, await codeOf(response)]).toEqual([415, 'request.unsupported'])
    }
  })

  it('refuses by the declared length without reading a byte', async () => {
    let pulled = 0
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled++
          controller.enqueue(new Uint8Array(1024))
        },
      },
      { highWaterMark: 0 },
    )
    const headers = { 'content-length': String(MAX_ENVELOPE_BYTES + 1) }
    const init = { ...sealed(body, headers), duplex: 'half' } as RequestInit
    const response = await fakeApp().app.request('/v1/sealed', init)
    expect([response.status, await codeOf(response)]).toEqual([413, 'envelope.too_large'])
    expect(pulled).toBe(0)
  })

  it('stops reading a stream that is too long, whatever its length was said to be', async () => {
    const part = new Uint8Array(1024 * 1024)
    let pulled = 0
    let cancelled = false
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled++
          controller.enqueue(part)
        },
        cancel() {
          cancelled = true
        },
      },
      { highWaterMark: 0 },
    )
    const init = { ...sealed(body), duplex: 'half' } as RequestInit
    const response = await fakeApp().app.request('/v1/sealed', init)
    expect([response.status, await codeOf(response)]).toEqual([413, 'envelope.too_large'])
    expect(pulled).toBeLessThanOrEqual(MAX_ENVELOPE_BYTES / part.length + 2)
    expect(cancelled).toBe(true)
  })

  it('gives the relay’s request up when the client goes, and says nothing', async () => {
    const gone = new AbortController()
    let given: AbortSignal | undefined
    const { app } = fakeApp({
      limits: { callerRequests: 1 },
      relay: {
        sealed: ({ signal }) => {
          given = signal
          setTimeout(() => gone.abort())
          return never(signal)
        },
      },
    })
    const response = await app.request('/v1/sealed', { ...sealed(good), signal: gone.signal })
    expect(given!.aborted).toBe(true)
    expect(await response.text()).toBe('')
    expect((await app.request('/v1/models')).status).toBe(200)
  })

  it('cancels the relay’s stream when the answer is given up', async () => {
    let cancelled = false
    const { app } = fakeApp({
      relay: {
        sealed: async () => ({
          receiptId: ID,
          body: new ReadableStream<Uint8Array>({
            cancel() {
              cancelled = true
            },
          }).getReader(),
        }),
      },
    })
    const response = await app.request('/v1/sealed', sealed(good))
    await response.body!.cancel()
    expect(cancelled).toBe(true)
  })

  it('passes on what the relay refuses, with the receipt of a session that was ended', async () => {
    const failing = (failure: SessionFailure) =>
      fakeApp({ relay: { sealed: () => Promise.reject(failure) } }).app.request(
        '/v1/sealed',
        sealed(good),
      )
    const full = await failing(new SessionFailure('queue.full', 'full', { retryAfterMs: 2_001 }))
    expect([full.status, full.headers.get('retry-after')]).toEqual([503, '3'])
    const replayed = await failing(new SessionFailure('envelope.replayed', 'seen'))
    expect(replayed.status).toBe(400)
    const ended = await failing(
      new SessionFailure('workload.failed', 'it crashed', { receipt: abortedReceipt }),
    )
    expect(ended.status).toBe(424)
    expect(ended.headers.get('x-should-retry')).toBe('false')
    expect(ended.headers.get('sealed-receipt-id')).toBe(ID)
    expect(await ended.json()).toMatchObject({
      error: { code: 'workload.failed', type: 'session_error' },
      receipt: abortedReceipt,
    })
  })
})
