import { fromUtf8, utf8 } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { readCall, SEALED_PATHS } from './read-request.ts'

const base = 'http://127.0.0.1:8080'
const chat = `${base}/v1/chat/completions`
const post = (body: BodyInit, headers: Record<string, string> = {}) => ({
  method: 'post',
  body,
  headers,
})

describe('what an SDK asks', () => {
  it('is read from a text and from a Request alike, its bytes unchanged', async () => {
    const body = '{ "model":"demo", "stream" : true }'
    const headers = { authorization: 'Bearer sk-1', 'x-stainless-retry-count': '2' }
    const expected = {
      kind: 'sealed',
      endpoint: '/v1/chat/completions',
      stream: true,
      model: 'demo',
      apiKey: 'sk-1',
      retries: 2,
    }
    const init = { method: 'POST', body, headers }
    for (const call of [
      await readCall(base, chat, init),
      await readCall(base, new URL(chat), { ...init, body: utf8(body) }),
      await readCall(base, new Request(chat, init)),
    ]) {
      expect(call).toMatchObject(expected)
      if (call.kind === 'sealed') expect(fromUtf8(call.body)).toBe(body)
    }
  })

  it('may be any of OpenAI’s calls for a workload, or the models', async () => {
    for (const path of SEALED_PATHS)
      expect(await readCall(base, base + path, post('{}'))).toMatchObject({ endpoint: path })
    for (const path of ['/v1/models', '/v1/models/demo'])
      expect(await readCall(base, base + path)).toMatchObject({ kind: 'models', path })
    const edge = 'https://edge.example/vm'
    const call = readCall(edge, `${edge}/v1/embeddings`, post('{}'))
    expect(await call).toMatchObject({ endpoint: '/v1/embeddings' })
  })

  it('streams only where the body says exactly so', async () => {
    for (const stream of ['false', '"true"', '1', 'null', '{}'])
      expect(await readCall(base, chat, post(`{"stream":${stream}}`))).toMatchObject({
        stream: false,
      })
  })

  it('is refused where it cannot be sealed as it is', async () => {
    const refused: [string, RequestInit, string][] = [
      [`${base}/v1/images/generations`, post('{}'), 'endpoint.unknown'],
      [`${base}/v1/models/..%2fsealed`, {}, 'endpoint.unknown'],
      [`${base}/v1/files`, { method: 'DELETE' }, 'endpoint.unknown'],
      [`${base}/V1/chat/completions`, post('{}'), 'endpoint.unknown'],
      [`${chat}/`, post('{}'), 'endpoint.unknown'],
      [`${chat}?a=1`, post('{}'), 'request.unsupported'],
      [chat, { method: 'GET' }, 'request.method'],
      [`${base}/v1/models`, post('{}'), 'request.method'],
      [chat, post('{}', { 'content-encoding': 'gzip' }), 'request.unsupported'],
      [chat, post('[]'), 'request.invalid'],
      [chat, post('nothing'), 'request.invalid'],
      [chat, post(new Uint8Array([0xff])), 'request.invalid'],
      [chat, { method: 'POST' }, 'request.invalid'],
      [chat, post(' '.repeat(17 * 1024 * 1024 + 720_000)), 'request.too_large'],
      ['https://api.openai.com/v1/chat/completions', post('{}'), 'request.invalid'],
      ['http://127.0.0.1:80801/v1/chat/completions', post('{}'), 'request.invalid'],
      ['http://127.0.0.1:8080@evil.example/v1/chat/completions', post('{}'), 'request.invalid'],
      ['/v1/chat/completions', post('{}'), 'request.invalid'],
    ]
    for (const [url, init, code] of refused)
      await expect(readCall(base, url, init), `${init.method} ${url}`).rejects.toMatchObject({
        code,
      })
  })
})
