// `sealed proxy` as a process of its own before a running instance with the real model: curl, Python and the openai SDK
// with only its base URL changed, buffered and streamed, and a policy that this machine does not satisfy.
// Mutants: `isUnread` true for a call for a workload; the verdict on the machine passed over in both `attest` and `ask`.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { decodeReceipt } from '@sealed/protocol'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REPOSITORY } from '../scripts/instance/paths.ts'
import { eventually, World } from './support/instance.ts'
import { python } from './support/python.ts'

const SEALED = join(REPOSITORY, 'client', 'bin', 'sealed.ts')
const run = promisify(execFile)
const model = 'sealed-demo'
const messages = [{ role: 'user' as const, content: 'What is a lighthouse?' }]

let world: World
let good: Proxy
beforeAll(async () => {
  world = await World.start({ workload: 'reference' })
  good = await start(world.instance.paths.policy)
})
afterAll(async () => {
  await good?.stop()
  await world?.close()
})

interface Proxy {
  url: string
  log: () => string
  /** Resolves once it has said this: its answer may arrive before its line. */
  logged: (words: string) => Promise<unknown>
  stop: () => Promise<number | null>
}

async function start(policy: string, ...more: string[]): Promise<Proxy> {
  const argv = ['proxy', '--port', '0', '--url', world.url, '--policy', policy, ...more]
  const child: ChildProcess = spawn(process.execPath, [SEALED, ...argv], { stdio: 'pipe' })
  const said = { out: '', err: '' }
  child.stdout!.on('data', (text) => {
    said.out += text
  })
  child.stderr!.on('data', (text) => {
    said.err += text
  })
  const exited = once(child, 'exit')
  const url = await eventually('a proxy', async () => /^(http:\S+)\/v1 is/.exec(said.out)?.[1])
  const stop = async () => {
    child.kill('SIGINT')
    const [code] = await exited
    return code as number | null
  }
  const logged = (words: string) =>
    eventually(`a line with: ${words}`, async () => said.err.includes(words) || undefined)
  return { url, log: () => said.err, logged, stop }
}

const bodyOf = (more: object = {}) => ({ model, messages, seed: 1, ...more })
const curl = (url: string, body: object, ...more: string[]) =>
  run('curl', [
    '-sS',
    '-N',
    url,
    '-H',
    'content-type: application/json',
    ...more,
    '-d',
    JSON.stringify(body),
  ])
const verdicts = async ({ url }: Proxy) =>
  ((await (await fetch(`${url}/verdicts`)).json()) as { verdicts: Record<string, unknown>[] })
    .verdicts

/** Index of the leaf of a session made for this: one more each time, unless another session came between. */
const position = async () =>
  decodeReceipt((await world.chat('where is the log', { model })).receipt!).index

/** The text of a stream of chunks. */
const textOf = (stream: string) =>
  [...stream.matchAll(/^data: (\{.*)$/gm)]
    .map(([, json]) => JSON.parse(json!).choices[0]?.delta?.content ?? '')
    .join('')

describe('through sealed proxy', () => {
  test('curl, Python and the openai SDK get one answer, buffered and streamed, each verified', async () => {
    const url = `${good.url}/v1/chat/completions`
    const { stdout } = await curl(url, bodyOf())
    const said = JSON.parse(stdout).choices[0].message.content as string
    expect(said).toMatch(/\w+/)
    const streamed = await curl(url, bodyOf({ stream: true }))
    expect(textOf(streamed.stdout)).toBe(said)
    expect(streamed.stdout.trimEnd().endsWith('data: [DONE]')).toBe(true)

    const asked = async (body: object) => JSON.parse(await python('post.py', { url, body }))
    const whole = await asked(bodyOf())
    expect(whole.status).toBe(200)
    expect(whole.headers['sealed-verdict']).toBe('verified')
    expect(JSON.parse(whole.text).choices[0].message.content).toBe(said)
    expect(textOf((await asked(bodyOf({ stream: true }))).text)).toBe(said)

    const openai = new OpenAI({ baseURL: `${good.url}/v1`, apiKey: 'none' })
    const completion = await openai.chat.completions.create(bodyOf() as never)
    expect((completion as OpenAI.ChatCompletion).choices[0]!.message.content).toBe(said)
    let text = ''
    const stream = await openai.chat.completions.create({ model, messages, seed: 1, stream: true })
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).toBe(said)
    for await (const { id } of openai.models.list()) expect(id).toBe(model)

    const all = await verdicts(good)
    expect(all.map(({ outcome }) => outcome)).toEqual(Array(6).fill('verified'))
    for (const { receipt_id } of all) {
      const kept = await fetch(`${good.url}/v1/receipts/${receipt_id}`)
      expect(kept.status).toBe(200)
      await good.logged(`verified receipt ${receipt_id} `)
    }
    expect(good.log()).not.toMatch(/lighthouse|Warning/)
  })

  test('README’s own lines for the openai SDK run as they stand, sealed and plain', async () => {
    const readme = await readFile(join(REPOSITORY, 'README.md'), 'utf8')
    const blocks = [...readme.matchAll(/```js\n(.+?)```/gs)].map(([, code]) => code!)
    expect(blocks).toHaveLength(2)
    const [sealed, both] = blocks.map((code) =>
      code
        .replaceAll('http://127.0.0.1:8080', world.url)
        .replaceAll('http://127.0.0.1:8081', good.url)
        .replace('.sealed/default/policy.json', world.instance.paths.policy),
    )
    const shown = async (code: string) =>
      (await run(process.execPath, ['--input-type=module', '-e', code], { cwd: REPOSITORY })).stdout
    const said = 'Solid-hoofed herbivorous quadruped domesticated since prehistoric times.\n'
    expect(await shown(sealed!)).toBe(said)
    expect(await shown(both!)).toBe(said.repeat(4))
  })

  test('nothing reaches a workload under a policy that the machine does not satisfy', async () => {
    const strict = await start('strict')
    try {
      const before = await position()
      const url = `${strict.url}/v1/chat/completions`
      for (const body of [bodyOf(), bodyOf({ stream: true })]) {
        const { stdout } = await curl(url, body, '-w', '%{http_code}')
        expect(stdout.endsWith('}424')).toBe(true)
        expect(stdout).toContain('"code":"verdict.failed"')
      }
      const openai = new OpenAI({ baseURL: `${strict.url}/v1`, apiKey: 'none' })
      const error = await openai.chat.completions
        .create({ model, messages })
        .catch((failure: unknown) => failure)
      expect(error).toMatchObject({ status: 424, code: 'verdict.failed' })
      expect((await position()) - before).toBe(1)
      const all = await verdicts(strict)
      expect(all.map(({ outcome }) => outcome)).toEqual(Array(3).fill('failed'))
      await strict.logged('document.ak_chain')
    } finally {
      expect(await strict.stop()).toBe(0)
    }
  })

  test('nothing reaches a workload for a model that the machine does not have', async () => {
    const before = await position()
    const body = bodyOf({ model: 'gpt-0' })
    const { stdout } = await curl(`${good.url}/v1/chat/completions`, body, '-w', '%{http_code}')
    expect(stdout.endsWith('}404')).toBe(true)
    expect(JSON.parse(stdout.slice(0, -3)).error).toMatchObject({ code: 'workload.unknown' })
    expect((await position()) - before).toBe(1)
  })

  test('an upgrade reaches the gateway on public paths alone', async () => {
    const upgrade = (path: string) =>
      run('curl', [
        ...['-sS', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', '20', '--http1.1'],
        ...['-H', 'connection: Upgrade', '-H', 'upgrade: websocket'],
        ...['-H', 'sec-websocket-version: 13', '-H', 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=='],
        good.url + path,
      ])
    // The gateway has no WebSocket of its own: it answers as if none had been asked for.
    expect((await upgrade('/health/live')).stdout).toBe('200')
    await good.logged('GET /health/live 200 unread')
    expect((await upgrade('/v1/responses')).stdout).toBe('404')
    await good.logged('GET /v1/responses 404 refused [endpoint.unknown]')
  })
})
