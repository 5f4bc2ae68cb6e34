// What an operator sees of a whole instance: metrics of gateway and embassy on one port, the page for people, a line for
// each request, and usage by API key. None of it holds what was asked, answered or presented as a key.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createApiKey } from '@sealed/client'
import { check, decodeReceipt, overviewSchema } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { undocumented } from '../gateway/src/test-support/documented.ts'
import { REPOSITORY } from '../scripts/instance/paths.ts'
import type { Instance } from '../scripts/up.ts'
import { CHAT, eventually, readReply, upAside } from './support/instance.ts'

const PROMPT = 'a-prompt-that-nobody-may-see'
const body = JSON.stringify({ model: 'noop', messages: [{ role: 'user', content: PROMPT }] })

let instance: Instance
let key: string
let admin: string
beforeAll(async () => {
  const made = await createApiKey('laptop')
  key = made.apiKey
  instance = await upAside({ workload: 'noop', apiKeys: [made.entry] })
  admin = (await readFile(join(instance.paths.runtime, 'gateway', 'admin'), 'utf8')).trim()
})
afterAll(() => instance?.stop())

const chat = async () =>
  readReply(
    await fetch(instance.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body,
    }),
  )
const overview = async () => {
  const answer = await fetch(`${instance.url}/v1/status`)
  return check(overviewSchema, await answer.json(), 'overview')
}
const metrics = async () => (await fetch(`${admin}/metrics`)).text()
const valueIn = (text: string, series: string) =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length + 1),
  )

test('metrics show every step of what was served, of both processes', async () => {
  const count = 3
  for (let i = 0; i < count; i++) expect((await chat()).status).toBe(200)
  const text = await eventually('the last release', async () => {
    const now = await metrics()
    const released = valueIn(now, 'sealed_step_seconds_count{step="release"}')
    return released === count ? now : undefined
  })
  for (const step of ['admission', 'wait', 'seal', 'opening', 'workload', 'activations', 'commit'])
    expect(valueIn(text, `sealed_step_seconds_count{step="${step}"}`), step).toBe(count)
  expect(valueIn(text, `sealed_gateway_requests_total{route="${CHAT}",status="200"}`)).toBe(count)
  expect(valueIn(text, 'sealed_embassy_up')).toBe(1)
  expect(valueIn(text, 'sealed_ready')).toBe(1)
  expect(valueIn(text, 'sealed_replicas{workload="noop",state="idle"}')).toBe(1)
  expect(valueIn(text, 'sealed_queue_length{workload="noop"}')).toBe(0)
  expect(valueIn(text, 'sealed_tpm_command_seconds_count{command="quote"}')).toBeGreaterThan(count)
  expect(valueIn(text, 'sealed_ledger_batch_size_sum{kind="closings"}')).toBe(count)
  // Each family once, as scrapers want it.
  const families = text.match(/^# TYPE \S+/gm)!
  expect(new Set(families).size).toBe(families.length)
})

test('the page for people says what the machine is', async () => {
  const { receipt } = await chat()
  const seen = await eventually('a checkpoint of it', async () => {
    const now = await overview()
    return (now.checkpoint?.size ?? 0) > decodeReceipt(receipt!).index ? now : undefined
  })
  expect(seen).toMatchObject({
    attestation: { document: decodeReceipt(receipt!).document, evidence: ['tpm', 'event-log'] },
    metering: 'required',
    ready: true,
    workloads: [{ name: 'noop', replicas: 1, replicas_ready: 1, seal_policy: 'request' }],
  })
  const page = await fetch(`${instance.url}/v1/status`, { headers: { accept: 'text/html' } })
  expect(await page.text()).toContain(seen.attestation.document)
})

test('the OpenAPI document is right about what a real instance answers', async () => {
  const document = await (await fetch(`${instance.url}/openapi.json`)).json()
  const { receipt } = await chat()
  const { document: digest, leaf } = decodeReceipt(receipt!)
  if (leaf.kind !== 'session') throw new Error('no session')
  const [origin] = /[0-9a-f]{16}$/.exec((await overview()).checkpoint!.origin)!
  const values = { digest, id: leaf.session, origin, level: '0', index: '000.p/1' }
  let asked = 0
  for (const [path, item] of Object.entries(document.paths as Record<string, object>)) {
    if (!('get' in item)) continue
    const filled = path.replace(/\{(\w+)\}/g, (_, name: keyof typeof values) => values[name])
    const answer = await fetch(instance.url + filled, {
      headers: { authorization: `Bearer ${key}` },
    })
    expect([filled, answer.status]).toEqual([filled, 200])
    expect(await undocumented('GET', filled, answer), filled).toEqual([])
    asked += 1
  }
  expect(asked).toBeGreaterThan(12)
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
  for (const request of [body, '{', JSON.stringify({ model: 'none' })]) {
    const answer = await fetch(instance.url + CHAT, { method: 'POST', headers, body: request })
    expect(await undocumented('POST', CHAT, answer)).toEqual([])
  }
})

test('usage by key adds up, to the byte', async () => {
  const sealed = async () => {
    const script = join(REPOSITORY, 'client', 'bin', 'sealed.ts')
    const socket = join(instance.paths.runtime, 'embassy', 'admin.sock')
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...[script, 'usage', '--json', '--socket', socket],
    ])
    const { usage } = JSON.parse(stdout) as { usage: Record<string, number | string>[] }
    // A test may run over midnight.
    const sum = (member: string) => usage.reduce((total, row) => total + Number(row[member]), 0)
    expect(usage.every((row) => row.key === 'laptop')).toBe(true)
    return ['requests', 'answered', 'aborted', 'input_bytes', 'output_bytes'].map(sum)
  }
  const before = await sealed()
  const { bytes, receipt } = await chat()
  const output = bytes.length - `,"receipt":"${receipt}"`.length
  const after = await sealed()
  expect(after.map((value, i) => value - before[i]!)).toEqual([1, 1, 0, body.length, output])
})

test('each request has a line with its ids, and no line has contents', async () => {
  const headers = { authorization: `Bearer ${key}`, 'x-request-id': 'find-me' }
  await (await fetch(`${instance.url}/v1/models`, { headers })).arrayBuffer()
  const path = join(instance.paths.logs, 'gateway.log')
  const line = await eventually('its line', async () => {
    const text = await readFile(path, 'utf8')
    return text.split('\n').find((one) => one.includes('find-me'))
  })
  expect(JSON.parse(line)).toMatchObject({ request_id: 'find-me', caller: 'laptop', status: 200 })
  for (const log of ['gateway.log', 'embassy.log']) {
    const text = await readFile(join(instance.paths.logs, log), 'utf8')
    for (const secret of [PROMPT, key]) expect(text).not.toContain(secret)
  }
  const text = await metrics()
  for (const secret of [PROMPT, key, 'laptop']) expect(text).not.toContain(secret)
})
