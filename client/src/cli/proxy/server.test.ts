// Mutants: `isUnread` true for POST or for any path under /v1; `guard` dropped, or without its check of host, origin or
// coding; `attest` dropped before an upgrade; `PASSED` ignored; `pipeline` replaced by `pipe`; the `destroy` in `cut`
// replaced by `end`; the abort of a caller who left dropped; `strict` not handed on;
// the grace of `close` made 0, or for ever; an upgrade’s line always 101; `out.setTimeout` or `proxyTimeout` dropped.
import type { RequestListener } from 'node:http'
import { connect as netConnect } from 'node:net'
import { MAX_ENVELOPE_BYTES, STRICT_POLICY, utf8 } from '@sealed/protocol'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Bends, serve } from '../../test-support/gateway-double.ts'
import { MachineDouble, NOW } from '../../test-support/machine-double.ts'
import { type Line, type ProxyOptions, startProxy } from './server.ts'
import { exchangeBytes, upstream } from './upstream-double.ts'

const CHAT = '/v1/chat/completions'
let machine: MachineDouble
beforeAll(async () => {
  machine = await MachineDouble.create()
})
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function connect(
  bends: Bends = {},
  options: Partial<ProxyOptions> = {},
  answer?: RequestListener,
) {
  const double = serve(machine, bends)
  const behind = await upstream(answer)
  const lines: Line[] = []
  const proxy = await startProxy({
    url: behind.url,
    policy: machine.policy,
    fetch: double.fetch,
    now: () => NOW,
    port: 0,
    strict: false,
    onEnd: (line) => void lines.push(line),
    ...options,
  })
  closing.push(() => proxy.close(0), behind.close)
  const ask = (body: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
    fetch(proxy.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model: 'demo', messages: [], ...body }),
    })
  const posts = () => double.calls.filter((call) => call.startsWith('POST')).length
  const verdicts = async () =>
    ((await (await fetch(`${proxy.url}/verdicts`)).json()) as { verdicts: Line[] }).verdicts
  const raw = (lines: string[], until?: string) =>
    exchangeBytes(proxy.url, `${lines.join('\r\n')}\r\n\r\n`, until)
  return { ask, behind, double, lines, posts, proxy, raw, verdicts }
}

const forged: Bends['reply'] = (_session, honest) => ({
  ...honest,
  output: utf8(new TextDecoder().decode(honest.output).replace('-two', '-six')),
})

describe('a call for a workload', () => {
  it('is sealed with its caller’s key, verified, and its verdict listed', async () => {
    const { ask, behind, double, lines, verdicts } = await connect()
    const response = await ask({}, { authorization: 'Bearer sk-caller' })
    expect(await response.json()).toMatchObject({ choices: [{}] })
    const id = double.sessions[0]!.id
    expect(response.headers.get('sealed-verdict')).toBe('verified')
    expect(double.requests[0]!.headers.get('authorization')).toBe('Bearer sk-caller')
    expect(double.calls[0]).toBe('GET /v1/attestation')
    const entry = { path: CHAT, status: 200, outcome: 'verified', receipt_id: id, failed: [] }
    expect(await verdicts()).toEqual([expect.objectContaining(entry)])
    expect(lines[0]).toMatchObject({ ...entry, method: 'POST' })
    expect(behind.seen).toEqual([])
  })

  it('is streamed to its end', async () => {
    const { ask, verdicts } = await connect()
    const text = await (await ask({ stream: true })).text()
    expect(text).toContain('-two')
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true)
    expect(await verdicts()).toEqual([expect.objectContaining({ outcome: 'verified' })])
  })

  it('reaches no machine that does not verify', async () => {
    const { ask, behind, posts, verdicts } = await connect({}, { policy: STRICT_POLICY })
    const response = await ask()
    expect(response.status).toBe(424)
    expect(await response.json()).toMatchObject({ error: { code: 'verdict.failed' } })
    expect(posts()).toBe(0)
    expect(behind.seen).toEqual([])
    const [entry] = await verdicts()
    expect(entry).toMatchObject({ outcome: 'failed', receipt_id: null, code: 'verdict.failed' })
    expect(entry!.failed).toContain('document.ak_chain')
  })

  it('that is cut is an error, after an event that says so', async () => {
    for (const kept of [4, 6, 7]) {
      const { lines, raw } = await connect({ frames: (frames) => frames.slice(0, kept) })
      const body = JSON.stringify({ model: 'demo', messages: [], stream: true })
      const text = await raw([
        `POST ${CHAT} HTTP/1.1`,
        'Host: localhost',
        `Content-Length: ${body.length}`,
        '',
        body,
      ])
      expect(text).toContain('"code":"response.truncated"')
      expect(text).not.toContain('[DONE]')
      expect(text.endsWith('\r\n0\r\n\r\n')).toBe(false)
      expect(lines[0]).toMatchObject({ outcome: 'none', code: 'response.truncated' })
    }
  })

  it('that was forged is an error at its end, and shows nothing where it is strict', async () => {
    const loose = await connect({ reply: forged })
    const response = await loose.ask({ stream: true })
    await expect(response.text()).rejects.toThrow()
    expect(await loose.verdicts()).toEqual([expect.objectContaining({ outcome: 'failed' })])
    const strict = await connect({ reply: forged }, { strict: true })
    const held = await strict.ask({ stream: true })
    expect(held.status).toBe(424)
    expect(await held.text()).not.toContain('-six')
  })

  it('is given up when its caller leaves', async () => {
    const gate = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    const { double, proxy } = await connect(
      { pace: (part) => (part > 3 ? gate.promise : undefined) },
      { onEnd: () => gone.resolve() },
    )
    const controller = new AbortController()
    const body = JSON.stringify({ model: 'demo', messages: [], stream: true })
    const response = await fetch(proxy.url + CHAT, {
      method: 'POST',
      body,
      signal: controller.signal,
    })
    controller.abort()
    await gone.promise
    expect(double.cancelled).toBe(1)
    await expect(response.text()).rejects.toThrow()
    gate.resolve()
  })
})

describe('a proxy that is closed', () => {
  it('lets what is under way end, and takes nothing more', async () => {
    const gate = Promise.withResolvers<void>()
    const { ask, proxy } = await connect({ pace: (part) => (part > 4 ? gate.promise : undefined) })
    const response = await ask({ stream: true })
    const closed = proxy.close(600_000)
    await expect(ask()).rejects.toThrow()
    gate.resolve()
    expect(await response.text()).toContain('[DONE]')
    await closed
  })

  it('cuts what does not end in its time', async () => {
    const { ask, proxy } = await connect({
      pace: (part) => (part > 4 ? new Promise(() => {}) : undefined),
    })
    const response = await ask({ stream: true })
    await proxy.close(0)
    await expect(response.text()).rejects.toThrow()
  })
})

describe('what is not understood', () => {
  it.each([
    `GET ${CHAT}`,
    `POST ${CHAT}/`,
    'POST /v1/%63hat/completions',
    'POST /v1/models',
    'POST /v1/files',
    'GET /v1/models/../chat/completions',
    'GET /log/../v1/sealed',
    'POST /v1/sealed',
    'PUT /log/checkpoint',
    'GET //v1/models',
    'GET http://127.0.0.1/v1/models',
    `OPTIONS ${CHAT}`,
  ])('goes nowhere: %s', async (line) => {
    const { behind, posts, raw } = await connect()
    const text = await raw([`${line} HTTP/1.1`, 'Host: localhost', 'Connection: close'])
    expect(text).toMatch(/^HTTP\/1\.1 40[045] /)
    expect(behind.seen).toEqual([])
    expect(posts()).toBe(0)
  })

  it.each([
    ['both lengths', ['Content-Length: 3', 'Transfer-Encoding: chunked']],
    ['two lengths', ['Content-Length: 3', 'Content-Length: 4']],
    ['a second coding', ['Transfer-Encoding: gzip, chunked']],
    ['a coding that ends nowhere', ['Transfer-Encoding: identity']],
    ['a length with a sign', ['Content-Length: +3']],
    ['a folded header', ['X-A: b', ' c: d', 'Content-Length : 3']],
    ['a body where none belongs', ['Content-Length: 3', '', 'abc']],
    ['no host', []],
  ])('is refused: %s', async (what, headers) => {
    const { behind, raw } = await connect()
    const host = what === 'no host' ? [] : ['Host: localhost']
    const head = ['GET /v1/models HTTP/1.1', ...host, 'Connection: close', ...headers]
    expect(await raw(head)).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(behind.seen).toEqual([])
  })

  it('is refused in a call for a workload too', async () => {
    const { double, raw } = await connect()
    const head = [`POST ${CHAT} HTTP/1.1`, 'Host: localhost', 'Connection: close']
    const chunks = '2\r\n{}\r\n0'
    for (const coding of ['gzip, chunked', 'chunked, chunked'])
      expect(await raw([...head, `Transfer-Encoding: ${coding}`, '', chunks])).toMatch(
        /^HTTP\/1\.1 400 /,
      )
    for (const target of [`//${CHAT}`, `http://127.0.0.1${CHAT}`])
      expect(await raw([`POST ${target} HTTP/1.1`, ...head.slice(1)])).toContain('must be a path')
    expect(double.calls).toEqual([])
    expect(await raw([...head, 'Transfer-Encoding: chunked', '', chunks])).toMatch(
      /^HTTP\/1\.1 200 /,
    )
  })

  it('is told to whoever sends more than an envelope holds', async () => {
    const { double, proxy } = await connect()
    const body = new Uint8Array(4 * MAX_ENVELOPE_BYTES)
    const response = await fetch(proxy.url + CHAT, { method: 'POST', body })
    expect(response.status).toBe(413)
    expect(double.calls).toEqual([])
  })

  it('is refused of pages that reach the loopback under another name or from another origin', async () => {
    const { behind, double, raw } = await connect()
    for (const odd of [['Host: rebound.example'], ['Host: localhost', 'Origin: https://a.example']])
      for (const path of ['/v1/models', '/verdicts', CHAT])
        expect(await raw([`GET ${path} HTTP/1.1`, ...odd, 'Connection: close'])).toMatch(
          /^HTTP\/1\.1 403 /,
        )
    expect(behind.seen).toEqual([])
    expect(double.calls).toEqual([])
  })
})

describe('what is public', () => {
  it.each(['/v1/models', '/log/checkpoint', '/health/ready', '/v1/receipts/0a/proof'])(
    'is passed through: %s',
    async (path) => {
      const { behind, lines, proxy } = await connect()
      expect(await (await fetch(proxy.url + path)).text()).toBe('{}')
      expect(behind.seen.map(({ method, url }) => `${method} ${url}`)).toEqual([`GET ${path}`])
      expect(lines).toEqual([expect.objectContaining({ outcome: 'unread', status: 200 })])
    },
  )

  it('is asked and answered without headers of one connection, or of whoever asks', async () => {
    const { behind, raw } = await connect({}, {}, (_req, res) => {
      res.writeHead(200, { Connection: 'close, x-hop', 'X-Hop': '1', 'X-Kept': '2' })
      res.end('{}')
    })
    const text = await raw([
      'GET /v1/models HTTP/1.1',
      'Host: localhost',
      'Connection: close, x-secret',
      'X-Secret: 1',
      'Cookie: a=b',
      'TE: trailers',
      'Proxy-Authorization: Basic x',
      'Authorization: Bearer sk-caller',
    ])
    expect(behind.seen[0]!.headers).toEqual({
      authorization: 'Bearer sk-caller',
      connection: 'close',
      host: new URL(behind.url).host,
    })
    expect(text).toContain('x-kept: 2')
    expect(text).not.toContain('x-hop')
  })

  it('that is cut is an error', async () => {
    const { proxy } = await connect({}, {}, (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/plain' })
      res.write('half of it', () => res.destroy())
    })
    await expect(fetch(`${proxy.url}/log/checkpoint`).then((r) => r.text())).rejects.toThrow()
  })

  it('carries no key in clear across a network', async () => {
    const { proxy, lines } = await connect({}, { url: 'http://gateway.example' })
    const headers = { authorization: 'Bearer sk-caller' }
    const response = await fetch(`${proxy.url}/v1/models`, { headers })
    expect([response.status, await response.text()]).toEqual([
      400,
      expect.stringContaining('clear'),
    ])
    expect(lines).toEqual([expect.objectContaining({ outcome: 'refused' })])
  })

  it('is 503 where nobody is, or says nothing', async () => {
    const gone = await connect()
    gone.behind.close()
    const mute = await connect({}, { timeoutMs: 1 }, () => {})
    for (const { proxy } of [gone, mute]) {
      const response = await fetch(`${proxy.url}/v1/models`)
      expect(response.status).toBe(503)
      expect(await response.json()).toMatchObject({ error: { code: 'gateway.unreachable' } })
    }
  })
})

describe('an upgrade', () => {
  const upgrade = (path: string, protocol = 'websocket') => [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    `Upgrade: ${protocol}`,
    '',
    'ping',
  ]

  it('is passed on both ways to an attested machine', async () => {
    const { behind, double, lines, raw } = await connect()
    const text = await raw(upgrade('/log/stream'), 'ping')
    expect(text).toMatch(/^HTTP\/1\.1 101 /)
    expect(double.calls[0]).toBe('GET /v1/attestation')
    expect(behind.seen).toHaveLength(1)
    expect(lines).toEqual([expect.objectContaining({ status: 101, outcome: 'unread' })])
  })

  it('that the gateway does not make is told with the gateway’s own answer', async () => {
    for (const status of [200, 404, 500]) {
      const { lines, raw } = await connect({}, {}, (_req, res) => void res.writeHead(status).end())
      expect(await raw(upgrade('/log/stream'))).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
      expect(lines).toEqual([expect.objectContaining({ status, outcome: 'unread' })])
    }
  })

  it('to a gateway that is not there, or says nothing, is refused, and told as such', async () => {
    const gone = await connect()
    gone.behind.close()
    const mute = await connect({}, { timeoutMs: 1 }, () => {})
    for (const { lines, raw } of [gone, mute]) {
      expect(await raw(upgrade('/log/stream'))).toMatch(/^HTTP\/1\.1 503 /)
      const refused = { status: 503, outcome: 'refused', code: 'gateway.unreachable' }
      expect(lines).toEqual([expect.objectContaining(refused)])
    }
  })

  it('whose caller leaves has a line too', async () => {
    const arrived = Promise.withResolvers<void>()
    const told = Promise.withResolvers<Line>()
    const { proxy } = await connect({}, { onEnd: told.resolve }, () => arrived.resolve())
    const caller = netConnect(Number(new URL(proxy.url).port), '127.0.0.1')
    caller.write(`${upgrade('/log/stream').join('\r\n')}\r\n\r\n`)
    await arrived.promise
    caller.resetAndDestroy()
    expect(await told.promise).toMatchObject({ outcome: 'refused', code: 'session.aborted' })
  })

  it('is refused to a machine that does not verify, and wherever a call for a workload goes', async () => {
    const wrong = await connect({}, { policy: STRICT_POLICY })
    expect(await wrong.raw(upgrade('/log/stream'), 'ping')).toMatch(/^HTTP\/1\.1 424 /)
    const { behind, raw } = await connect()
    for (const path of [CHAT, '/v1/responses', '/v1/realtime', '/v1/sealed'])
      expect(await raw(upgrade(path))).toMatch(/^HTTP\/1\.1 404 /)
    expect(await raw(upgrade('/log/stream', 'h2c'))).toMatch(/^HTTP\/1\.1 400 /)
    const odd = upgrade('/log/stream').with(1, 'Host: rebound.example')
    expect(await raw(odd)).toMatch(/^HTTP\/1\.1 403 /)
    expect([...behind.seen, ...wrong.behind.seen]).toEqual([])
  })
})
