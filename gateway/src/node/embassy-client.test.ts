import type { RequestListener } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { chat, DIGEST, ID, STATUS } from '../test-support/fakes.ts'
import { startWorld, until, type World } from '../test-support/node-world.ts'

let world: World | undefined
afterEach(async () => {
  await world?.stop()
  world = undefined
})
const start = async (embassy: RequestListener) => {
  world = await startWorld({ embassy })
  return (path: string) => fetch(`http://127.0.0.1:${world!.port}${path}`)
}
const rpcError = (code: string) => JSON.stringify({ error: { code, message: 'said so' } })

describe('the embassy behind the gateway', () => {
  it('is asked by the paths of its socket, and its bytes come back unread', async () => {
    const asked: string[] = []
    const bytes = Buffer.from([0x7b, 0xff, 0x00, 0x7d])
    const get = await start((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.end(bytes)
    })
    for (const path of [
      '/v1/attestation',
      `/v1/attestation?nonce=${'A'.repeat(22)}&other=1`,
      `/v1/attestation/${DIGEST}`,
      '/log/checkpoint',
      '/log/0123456789abcdef/tile/1/x001/234.p/5?x=1',
    ])
      expect(Buffer.from(await (await get(path)).arrayBuffer()), path).toEqual(bytes)
    expect(asked).toEqual([
      'GET /attestation',
      `GET /attestation?nonce=${'A'.repeat(22)}`,
      `GET /attestation/${DIGEST}`,
      'GET /log/current/checkpoint',
      'GET /log/0123456789abcdef/tile/1/x001/234.p/5',
    ])
  })

  it('may not know a receipt or a document', async () => {
    const get = await start((_, response) => {
      response.writeHead(404).end(rpcError('request.not_found'))
    })
    for (const path of [
      `/v1/receipts/${ID}`,
      `/v1/receipts/${ID}/proof`,
      `/v1/attestation/${DIGEST}`,
      '/log/checkpoint',
    ])
      expect((await get(path)).status, path).toBe(404)
    expect((await get('/v1/attestation')).status).toBe(500)
  })

  it('may refuse, by the code of its error', async () => {
    const get = await start((_, response) => {
      response.writeHead(503).end(rpcError('attestation.busy'))
    })
    const response = await get('/v1/attestation')
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await response.json()).toMatchObject({ error: { code: 'attestation.busy' } })
  })

  it('may be gone, in the middle of an answer too', async () => {
    const get = await start((_, response) => {
      response.writeHead(200, { 'content-length': 10 })
      response.write('x', () => response.destroy())
    })
    expect((await get('/v1/attestation')).status).toBe(503)
    world!.embassy.closeAllConnections()
    await new Promise((resolve) => world!.embassy.close(resolve))
    for (const path of ['/v1/attestation', `/v1/receipts/${ID}`, '/v1/models', '/health'])
      expect((await get(path)).status, path).toBe(503)
  })

  it('is not believed where its status is malformed', async () => {
    let body = JSON.stringify({ ...STATUS, extra: 1 })
    const get = await start((_, response) => response.end(body))
    const odd = await get('/health')
    expect([odd.status, ((await odd.json()) as { ready: boolean }).ready]).toEqual([503, false])
    body = JSON.stringify(STATUS)
    expect((await get('/health')).status).toBe(200)
  })

  it('is let go when the client of a slow call goes', async () => {
    let open = 0
    await start((_, response) => {
      open++
      response.on('close', () => open--)
    })
    const gone = new AbortController()
    const pending = fetch(`http://127.0.0.1:${world!.port}/v1/attestation`, { signal: gone.signal })
    await until(() => open === 1)
    gone.abort()
    await expect(pending).rejects.toThrow()
    await until(() => open === 0)
  })
})

describe('a request for the plain door', () => {
  it('is 503 while nobody knows the workloads', async () => {
    await start((_, response) => response.destroy())
    const response = await fetch(`http://127.0.0.1:${world!.port}/v1/chat/completions`, {
      method: 'POST',
      body: chat(),
      headers: { 'content-type': 'application/json' },
    })
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await response.json()).toMatchObject({ error: { code: 'embassy.unavailable' } })
  })
})
