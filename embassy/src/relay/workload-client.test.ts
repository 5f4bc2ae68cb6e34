// The relay's calls to a workload, against a real server. Mutants: the timer of `call` kept, or AbortSignal.timeout in its
// place (each call then keeps some KB for as long as a workload may take); `connections: 1`; no `x-request-id`.
import { hash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { keptBytes } from '../test-support/kept-bytes.ts'
import type { Taker } from './workload-answer.ts'
import { WorkloadClient } from './workload-client.ts'

let server: Server
let handle: (request: IncomingMessage, response: ServerResponse) => void
const client = new WorkloadClient()
/** So many that what one of them keeps is seen: 800 bytes with the mutant, 35 without. */
const CALLS = 2_000
beforeEach(async () => {
  handle = (_, response) => response.end('{}')
  server = createServer((request, response) => handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

const call = (
  session = 'ab'.repeat(16),
  signal = new AbortController().signal,
  ms = 120_000,
  taker?: Taker,
  relay_ports: [number, number] = [20_000, 60_000],
) =>
  client.call(
    {
      kind: 'replica',
      address: '127.0.0.1',
      endpoint: '/v1/chat/completions',
      output_bytes: 1_000,
      port: (server.address() as AddressInfo).port,
      relay_ports,
      sessions: 4,
      workload_ms: ms,
    },
    { body: new Uint8Array(), contentType: 'application/json', session, stream: false },
    signal,
    taker,
  )

test('names the session to the workload, which names its activations by it', async () => {
  let named: unknown
  handle = ({ headers }, response) => {
    named = headers['x-request-id']
    response.end('{}')
  }
  await call('cd'.repeat(16))
  expect(named).toBe('cd'.repeat(16))
})

test('has as many under way as may share a replica', async () => {
  const waiting: ServerResponse[] = []
  const all = Promise.withResolvers<void>()
  handle = (_, response) => {
    waiting.push(response)
    if (waiting.length === 4) all.resolve()
  }
  const calls = [1, 2, 3, 4].map(() => call())
  await all.promise
  for (const response of waiting) response.end('{}')
  for (const { status } of await Promise.all(calls)) expect(status).toBe(200)
})

describe('is ended', () => {
  test('by its deadline', async () => {
    handle = () => {}
    await expect(call(undefined, undefined, 20)).rejects.toMatchObject({ code: 'workload.timeout' })
  })

  test.each([true, false])('by whoever asked, before it began: %s', async (early) => {
    const left = new AbortController()
    handle = () => left.abort(new Error('left'))
    if (early) left.abort(new Error('left'))
    await expect(call(undefined, left.signal)).rejects.toThrow('left')
  })
})

test('is ended where it waits for a connection, and never sent', async () => {
  const sent: unknown[] = []
  const all = Promise.withResolvers<void>()
  const waiting: ServerResponse[] = []
  handle = ({ headers }, response) => {
    sent.push(headers['x-request-id'])
    waiting.push(response)
    if (sent.length === 4) all.resolve()
  }
  const calls = [1, 2, 3, 4].map(() => call())
  await all.promise
  const left = new AbortController()
  const fifth = call('ef'.repeat(16), left.signal)
  left.abort(new Error('left'))
  await expect(fifth).rejects.toThrow('left')
  handle = ({ headers }, response) => {
    sent.push(headers['x-request-id'])
    response.end('{}')
  }
  for (const response of waiting) response.end('{}')
  await Promise.all(calls)
  await call('01'.repeat(16))
  expect(sent.slice(4)).toEqual(['01'.repeat(16)])
})

describe('an answer', () => {
  const takenBy = async () => {
    const taken: string[] = []
    const answer = await call(undefined, undefined, undefined, ({ status }) => {
      taken.push(String(status))
      return (bytes) => taken.push(Buffer.from(bytes).toString())
    })
    return { answer, taken }
  }

  test('is taken as it comes, after heads that are none', async () => {
    handle = (_, response) => {
      response.writeEarlyHints({ link: '</x>; rel=preload' })
      response.write('one')
      setImmediate(() => response.end('two'))
    }
    const { answer, taken } = await takenBy()
    expect(taken.join(' ').replace('one two', 'onetwo')).toBe('200 onetwo')
    expect(answer).toMatchObject({ body: new Uint8Array(), bytes: 6, status: 200 })
    expect(Buffer.from(answer.sha256).toString('hex')).toBe(hash('sha256', 'onetwo'))
  })

  test.each([
    ['that is compressed', { 'content-encoding': 'gzip' }, 'x', 'workload.failed'],
    ['that is too long', {}, 'x'.repeat(1_001), 'workload.too_large'],
  ] as const)('%s ends the request', async (_, headers, body, code) => {
    const closed = Promise.withResolvers<void>()
    handle = (request, response) => {
      request.socket.once('close', () => closed.resolve())
      response.writeHead(200, headers)
      response.write(body)
    }
    await expect(call()).rejects.toMatchObject({ code })
    await closed.promise
  })

  test('that is broken off is no answer', async () => {
    handle = (_, response) => {
      response.writeHead(200, { 'content-length': 9 })
      response.write('x', () => response.destroy())
    }
    await expect(call()).rejects.toMatchObject({ code: 'workload.failed' })
  })

  test('whose taker fails ends the request', async () => {
    const failing = call(undefined, undefined, undefined, () => () => {
      throw new Error('cannot be taken')
    })
    await expect(failing).rejects.toMatchObject({ code: 'workload.failed' })
  })
})

test('passes over ports that earlier connections to the same workload hold', async () => {
  const HELD = 100
  const FIRST = 21_000
  // Some of them may be held by others already, which is as good.
  const holding = Array.from({ length: HELD }, (_, i) => holdPort(FIRST + i))
  const held = await Promise.all(holding)
  const answer = call(undefined, undefined, undefined, undefined, [FIRST, FIRST + HELD])
  await expect(answer).resolves.toMatchObject({ status: 200 })
  for (const socket of held) socket.destroy()
})

const holdPort = (localPort: number): Promise<Socket> =>
  new Promise((resolve) => {
    const { port } = server.address() as AddressInfo
    const socket = connect({ host: '127.0.0.1', port, localPort }, () => resolve(socket))
    socket.once('error', () => resolve(socket))
  })

test('leaves nothing behind when it is over', async () => {
  expect(await keptBytes(CALLS, () => call())).toBeLessThan(CALLS * 200)
})
