import { utf8 } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { fakeApp, ID } from '../test-support/fakes.ts'

const ORIGIN = '0123456789abcdef'
const PART = utf8('{"part":1}')
const get = async (path: string) => {
  const asked: string[] = []
  const { app } = fakeApp({
    embassy: {
      log: async (origin, resource) => {
        asked.push(`${origin} ${resource}`)
        return PART
      },
    },
  })
  return { asked, response: await app.request(path) }
}

describe('GET /log', () => {
  it.each([
    ['/log/checkpoint', 'current checkpoint', 'text/plain; charset=utf-8'],
    ['/log/boot', 'current boot', 'application/json'],
    ['/log/tile/0/000', 'current tile/0/000', 'application/octet-stream'],
    ['/log/tile/1/x001/234.p/17', 'current tile/1/x001/234.p/17', 'application/octet-stream'],
    [`/log/${ORIGIN}/checkpoint`, `${ORIGIN} checkpoint`, 'text/plain; charset=utf-8'],
    [`/log/${ORIGIN}/boot`, `${ORIGIN} boot`, 'application/json'],
    [`/log/${ORIGIN}/tile/0/000.p/1`, `${ORIGIN} tile/0/000.p/1`, 'application/octet-stream'],
  ])('passes on %s', async (path, passed, type) => {
    const { asked, response } = await get(path)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, type])
    expect(asked).toEqual([passed])
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(PART)
  })

  it('may be cached for ever where an origin says which log it is, and only there', async () => {
    for (const path of ['boot', 'tile/0/000', 'tile/0/000.p/9']) {
      const named = await get(`/log/${ORIGIN}/${path}`)
      expect(named.response.headers.get('cache-control'), path).toContain('immutable')
      const { response } = await get(`/log/${path}`)
      expect(response.headers.get('cache-control'), path).toBe('no-store')
    }
    for (const path of ['/log/checkpoint', `/log/${ORIGIN}/checkpoint`])
      expect((await get(path)).response.headers.get('cache-control')).toBe('no-store')
  })

  it.each([
    '/log',
    '/log/',
    '/log/x',
    '/log/tile/entries/000',
    '/log/tile/0/0',
    '/log/tile/64/000',
    '/log/tile/0/000.p/256',
    '/log/tile/0/000.p/0',
    '/log/tile/0/000/',
    '/log//tile/0/000',
    '/log/tile//0/000',
    '/log/tile/0/000%00',
    '/log/current/checkpoint',
    `/log/${ORIGIN}`,
    `/log/${ORIGIN}/`,
    `/log/${ORIGIN}/x`,
    `/log/${ORIGIN}/../receipts/${ID}`,
    `/log/${ORIGIN}/..%2freceipts%2f${ID}`,
    `/log/${ORIGIN.toUpperCase()}/checkpoint`,
    `/log/${ORIGIN}0/checkpoint`,
    `/log/${ORIGIN}/${ORIGIN}/checkpoint`,
  ])('has nothing at %s, and asks nobody', async (path) => {
    const { asked, response } = await get(path)
    expect([response.status, asked]).toEqual([404, []])
    expect(await response.json()).toMatchObject({ error: { code: 'request.not_found' } })
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('is 404 where the embassy has none', async () => {
    const { app } = fakeApp({ embassy: { log: async () => undefined } })
    const response = await app.request('/log/tile/0/000')
    expect(response.status).toBe(404)
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('takes GET and HEAD alone', async () => {
    const { app } = fakeApp()
    expect((await app.request('/log/checkpoint', { method: 'HEAD' })).status).toBe(200)
    const response = await app.request('/log/checkpoint', { method: 'POST' })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })
})

describe('GET /v1/receipts/{id}/proof', () => {
  it('is text that is not kept, because a better one may come', async () => {
    const response = await fakeApp().app.request(`/v1/receipts/${ID}/proof`)
    expect(await response.text()).toBe('c2sp.org/tlog-proof@v1\n')
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('is 404 for an unknown or malformed id, which never reaches the embassy malformed', async () => {
    const asked: string[] = []
    const proof = async (id: string) => {
      asked.push(id)
      return undefined
    }
    const { app } = fakeApp({ embassy: { proof } })
    for (const id of ['f'.repeat(32), ID.toUpperCase(), `${ID}0`, '%0d%0aX'])
      expect((await app.request(`/v1/receipts/${id}/proof`)).status).toBe(404)
    expect(asked).toEqual(['f'.repeat(32)])
  })
})
