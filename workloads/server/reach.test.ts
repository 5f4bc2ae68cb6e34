import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { serving } from '../test-support/serving.ts'
import { parseTargets } from './reach.ts'

let listening: Server | undefined
afterEach(() => {
  vi.unstubAllEnvs()
  vi.resetModules()
  listening?.close()
})

async function listen(): Promise<number> {
  listening = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
  await once(listening, 'listening')
  return (listening.address() as AddressInfo).port
}

test('reads a list of targets', () => {
  expect(parseTargets('')).toEqual([])
  expect(parseTargets('tcp:198.18.0.1:80,tcp:[fd00::1]:443')).toEqual([
    { name: '198.18.0.1:80', host: '198.18.0.1', port: 80 },
    { name: '[fd00::1]:443', host: 'fd00::1', port: 443 },
  ])
})

test.each([
  '198.18.0.1:80',
  'udp:198.18.0.1:80',
  'tcp:198.18.0.1',
  'tcp:fd00::1:80',
  'tcp:a:99999',
])('refuses the target %s rather than try nothing', (target) => {
  expect(() => parseTargets(target)).toThrow('is not tcp:ADDRESS:PORT')
})

test('reports what was reached and what was not, in the answer and on /reach', async () => {
  const open = await listen()
  const targets = [`127.0.0.1:${open}`, '127.0.0.1:1']
  vi.stubEnv('PROBE_TARGETS', targets.map((target) => `tcp:${target}`).join(','))
  vi.resetModules()
  const { noopWorkload } = await import('../noop/workload.ts')
  const { reachReport } = await import('./reach.ts')
  const report = {
    [`reach_${targets[0]}`]: 'reached',
    [`reach_${targets[1]}`]: 'refused: ECONNREFUSED',
  }
  expect(await reachReport()).toEqual(report)
  const server = await serving(noopWorkload)
  try {
    const answer = (await (await server.post({ messages: [] })).json()) as { metadata: object }
    expect(answer.metadata).toMatchObject(report)
    for (const value of Object.values(answer.metadata)) expect(typeof value).toBe('string')
  } finally {
    await server.close()
  }
})
