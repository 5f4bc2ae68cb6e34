import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type SealedError, SessionFailure } from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EmbassyClient } from '../relay/embassy-client.ts'
import { type Calls, listenForCalls } from './channel.ts'
import type { Listening } from './listen.ts'

let directory: string
let path: string
let listening: Listening | undefined
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-channel-'))
  path = join(directory, 'relay.sock')
})
afterEach(async () => {
  await listening?.close()
  listening = undefined
  await rm(directory, { recursive: true })
})

const RECEIPT = 'cmVjZWlwdA'
const never = () => new Promise<never>(() => {})
const COMMIT = { output_bytes: 1, output_sha256: 'ab'.repeat(32), status: 200 }
const PLAIN = {
  caller: '',
  door: 'plain',
  endpoint: '/v1/x',
  input_sha256: 'ab'.repeat(32),
  session: 'ab'.repeat(16),
  workload: 'w',
} as const

async function serve(calls: Partial<Calls>): Promise<EmbassyClient> {
  listening = await listenForCalls(
    { open: never, reveal: never, commit: never, abort: never, ...calls },
    path,
    process.getgid!(),
  )
  return new EmbassyClient(path)
}

describe('calls of the relay', () => {
  it('are answered each by itself, in whatever order that is', async () => {
    const waiting = new Map<string, (value: unknown) => void>()
    const client = await serve({
      commit: (session) => new Promise((resolve) => waiting.set(session, resolve)),
    })
    const both = ['one', 'other'].map((session) => client.commit(session, COMMIT))
    await expect.poll(() => waiting.size).toBe(2)
    waiting.get('other')!({ receipt: 'b3RoZXI' })
    waiting.get('one')!({ receipt: 'b25l' })
    expect(await Promise.all(both)).toEqual(['b25l', 'b3RoZXI'])
  })

  it('fail with the embassy’s code, receipt and session, or say nothing of what nobody foresaw', async () => {
    const client = await serve({
      reveal: () =>
        Promise.reject(new SessionFailure('queue.timeout', 'late', { retryAfterMs: 7 })),
      commit: () =>
        Promise.reject(new SessionFailure('workload.failed', 'no', { receipt: RECEIPT })),
      abort: () => Promise.reject(new Error('/secret/path')),
    })
    await expect(client.reveal('s')).rejects.toMatchObject({
      code: 'queue.timeout',
      retryAfterMs: 7,
    })
    await expect(client.commit('s', COMMIT)).rejects.toMatchObject({
      code: 'workload.failed',
      receipt: RECEIPT,
    })
    const failure = await client
      .abort('s', { output_bytes: 0, reason: 'client.gone' })
      .catch((error: SealedError) => error)
    expect(failure).toMatchObject({ code: 'internal.error' })
    expect(String(failure)).not.toContain('secret')
  })

  it('that cannot be made have begun nothing; those that were lost may have revealed', async () => {
    const client = new EmbassyClient(path)
    await expect(client.open(PLAIN)).rejects.toMatchObject({ code: 'embassy.unavailable' })
    let asked = 0
    const open = () => {
      asked += 1
      return never()
    }
    await serve({ open })
    const lost = client.open(PLAIN)
    lost.catch(() => undefined)
    await expect.poll(() => asked).toBe(1)
    await listening!.close()
    await expect(lost).rejects.toMatchObject({ code: 'session.aborted' })
    await serve({ reveal: async () => ({ kind: 'reading', reading: '{}', receipt: RECEIPT }) })
    expect(await client.reveal('s')).toMatchObject({ kind: 'reading' })
  })

  it('are answered with the largest reading there is, beside what else is under way', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const reading = `"${'x'.repeat(2 * 1024 * 1024)}"`
    const client = await serve({
      reveal: async () => ({ kind: 'reading', reading, receipt: RECEIPT }),
      commit: async () => {
        await held
        return { receipt: RECEIPT }
      },
    })
    const beside = client.commit('s', COMMIT)
    expect(await client.reveal('s')).toEqual({ kind: 'reading', reading, receipt: RECEIPT })
    release()
    expect(await beside).toBe(RECEIPT)
  })

  it.each([
    ['no JSON', 'hello\n'],
    ['no call', '{}\n'],
    ['a call that every object has', '[1,"toString","",{}]\n'],
    ['a call without a number', '["1","open","",{}]\n'],
    ['a call of nobody’s session', '[1,"reveal",{},{}]\n'],
    ['a line without end', 'x'.repeat(300_000)],
  ])('that are %s end the connection, and nothing else', async (_, line) => {
    const client = await serve({ commit: async () => ({ receipt: RECEIPT }) })
    const socket = connect(path)
    socket.on('error', () => undefined)
    socket.write(line)
    await new Promise((resolve) => socket.once('close', resolve))
    expect(await client.commit('s', COMMIT)).toBe(RECEIPT)
  })
})
