import { SealedError } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { DIGEST, fakeApp, ID } from '../test-support/fakes.ts'

const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code

describe('GET /v1/attestation', () => {
  it('passes the nonce on and the bytes back', async () => {
    const { app } = fakeApp()
    const plain = await app.request('/v1/attestation')
    expect(await plain.text()).toBe('{"nonce":null}')
    expect(plain.headers.get('content-type')).toBe('application/json')
    expect(plain.headers.get('cache-control')).toBe('no-store')
    for (const nonce of ['A'.repeat(22), `${'B'.repeat(42)}A`, `${'-_'.repeat(42)}-A`])
      expect(await (await app.request(`/v1/attestation?nonce=${nonce}`)).json()).toEqual({ nonce })
  })

  it.each([
    'nonce=',
    'nonce=AAAA',
    `nonce=${'A'.repeat(20)}`,
    `nonce=${'A'.repeat(87)}`,
    `nonce=${'A'.repeat(21)}B`,
    `nonce=${'A'.repeat(22)}%3D%3D`,
    `nonce=${'A'.repeat(22)}%0d%0a`,
    `nonce=${'A'.repeat(22)}&nonce=${'A'.repeat(22)}`,
  ])('refuses ?%s', async (query) => {
    const response = await fakeApp().app.request(`/v1/attestation?${query}`)
    expect([response.status, await codeOf(response)]).toEqual([400, 'request.invalid'])
  })

  it('says when the embassy is busy or gone', async () => {
    for (const code of ['attestation.busy', 'embassy.unavailable'] as const) {
      const attestation = () => Promise.reject(new SealedError(code, 'x'))
      const response = await fakeApp({ embassy: { attestation } }).app.request('/v1/attestation')
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    }
  })

  it('serves a document by its digest for ever, and no other', async () => {
    const { app } = fakeApp()
    const found = await app.request(`/v1/attestation/${DIGEST}`)
    expect(await found.text()).toBe('{"document":1}')
    expect(found.headers.get('cache-control')).toContain('immutable')
    for (const digest of [
      '0'.repeat(64),
      DIGEST.toUpperCase(),
      'x',
      `${DIGEST}0`,
      '..%2freceipts',
    ]) {
      const response = await app.request(`/v1/attestation/${digest}`)
      expect([response.status, await codeOf(response)]).toEqual([404, 'request.not_found'])
      expect(response.headers.get('cache-control')).toBe('no-store')
    }
  })
})

describe('GET /v1/receipts/{id}', () => {
  it('is text, or JSON where that is asked for', async () => {
    const { app } = fakeApp()
    for (const accept of [undefined, '*/*', 'text/plain', 'application/jsonp']) {
      const response = await app.request(`/v1/receipts/${ID}`, {
        headers: accept ? { accept } : {},
      })
      expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
      expect(await response.text()).toBe('cmVjZWlwdA')
    }
    const json = await app.request(`/v1/receipts/${ID}`, {
      headers: { accept: 'text/html;q=0.5, Application/JSON;q=0.9' },
    })
    expect(await json.json()).toEqual({ receipt: 'cmVjZWlwdA' })
    expect(json.headers.get('vary')).toBe('accept')
  })

  it('answers HEAD without a body', async () => {
    const response = await fakeApp().app.request(`/v1/receipts/${ID}`, { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([200, ''])
  })

  it('is 404 for an unknown or malformed id, which never reaches the embassy malformed', async () => {
    const asked: string[] = []
    const receipt = async (id: string) => {
      asked.push(id)
      return undefined
    }
    const { app } = fakeApp({ embassy: { receipt } })
    for (const id of ['f'.repeat(32), ID.toUpperCase(), `${ID}0`, '%0d%0aX', 'a?b'])
      expect((await app.request(`/v1/receipts/${id}`)).status).toBe(404)
    expect(asked).toEqual(['f'.repeat(32)])
  })
})
