// The relay's calls to a workload, against a real server. Mutants: the timer of `call` kept, or AbortSignal.timeout in its
// place (each call then keeps some KB for as long as a workload may take); `connections: 1`; no `x-request-id`.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
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

const call = (session = 'ab'.repeat(16), signal = new AbortController().signal, ms = 120_000) =>
  client.call(
    {
      kind: 'replica',
      address: '127.0.0.1',
      endpoint: '/v1/chat/completions',
      output_bytes: 1_000,
      port: (server.address() as AddressInfo).port,
      relay_ports: [20_000, 60_000],
      sessions: 4,
      workload_ms: ms,
    },
    { body: new Uint8Array(), contentType: 'application/json', session, stream: false },
    signal,
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

test('leaves nothing behind when it is over', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const many = async () => {
    for (let i = 0; i < CALLS; i++) await call()
    gc()
    return process.memoryUsage().heapUsed
  }
  await many()
  const before = await many()
  expect((await many()) - before).toBeLessThan(CALLS * 200)
})
