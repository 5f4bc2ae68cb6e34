// The relay's socket from the gateway's side, with a session that answers as it is told.
//
// Mutants: no look at `outgoing` in `take` ("at once"); a `body` taken before a `request`; no bound of a body; no `left`
// at the end of a connection ("is told"); `request` kept after an answer ("one after another").
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  canonicalBytes,
  encodeRelayFrames,
  fromUtf8,
  MAX_ENVELOPE_BYTES,
  type OutFrame,
  RelayFrameReader,
  type RelayRequest,
  SealedError,
  utf8,
} from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { listenForRequests } from './ingress.ts'
import type { SessionDeps } from './run-session.ts'

const REQUEST: RelayRequest = {
  caller: 'c',
  content_type: 'application/json',
  door: 'plain',
  endpoint: '/v1/x',
  stream: false,
  workload: 'w',
}
const SALT = 'A'.repeat(43)
const ASK: OutFrame = ['request', canonicalBytes(REQUEST)]
const BODY: OutFrame = ['body', utf8('{}')]

let directory: string
let path: string
let socket: Socket
let opened: string[]
let aborted: string[]
/** What the workload is waited for. */
let work: Promise<void>
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'relay-'))
  path = join(directory, 'socket')
  opened = []
  aborted = []
  work = Promise.resolve()
  await listenForRequests(sessions, { path, gid: 0, bodyBytes: 16 })
  socket = await dial()
})
afterEach(async () => {
  socket.destroy()
  await rm(directory, { recursive: true })
})

const sessions: SessionDeps = {
  embassy: {
    open: async (request) => {
      if (request.door === 'plain') opened.push(request.session)
      if (request.caller === 'refused') throw new SealedError('queue.full', 'full')
      if (request.caller === 'broken') throw new TypeError('secret')
      const replica = {
        kind: 'replica',
        address: '10.0.0.1',
        endpoint: '/v1/x',
        output_bytes: 100,
        port: 1,
        relay_ports: [1, 2],
        sessions: 1,
        workload_ms: 1_000,
      } as const
      return {
        door: 'plain',
        revealed: { ...replica, relay_ports: [1, 2] },
        salt: SALT,
        session: '',
      }
    },
    reveal: async () => {
      throw new Error('nobody asks for it')
    },
    commit: async () => 'cmVj',
    abort: async (session, { reason }) => {
      aborted.push(`${session} ${reason}`)
      return undefined
    },
  },
  workload: {
    call: async (_target, { body }, signal) => {
      await Promise.race([work, once(signal, 'abort')])
      signal.throwIfAborted()
      const head = { status: 200, contentType: 'application/json' }
      return { ...head, body, bytes: body.length, sha256: new Uint8Array(32) }
    },
  },
}

async function dial(): Promise<Socket> {
  const socket = connect(path)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Frames that come until the last of an answer; undefined where the connection ends before. */
async function answer(...frames: OutFrame[]): Promise<[string, string][] | undefined> {
  const reader = new RelayFrameReader()
  const got: [string, string][] = []
  const done = new Promise<boolean>((resolve) => {
    socket.once('close', () => resolve(false))
    socket.on('data', (chunk: Buffer) => {
      for (const { type, bytes } of reader.push(chunk)) {
        got.push([type, fromUtf8(bytes)])
        if (type === 'final' || type === 'failed') resolve(true)
      }
    })
  })
  if (frames.length > 0) socket.write(encodeRelayFrames(...frames))
  const whole = await done
  socket.removeAllListeners('data')
  return whole ? got : undefined
}

describe('a request', () => {
  it('is answered by head, data and receipt, one after another on a connection', async () => {
    for (let i = 0; i < 3; i++) {
      const [head, ...rest] = (await answer(ASK, BODY))!
      expect(JSON.parse(head![1])).toEqual({
        content_type: 'application/json',
        salt: SALT,
        session: opened[i],
        status: 200,
        stream: false,
      })
      expect(rest).toEqual([
        ['data', '{}'],
        ['final', 'cmVj'],
      ])
    }
    expect(new Set(opened).size).toBe(3)
  })

  it('may come in pieces of one byte', async () => {
    const bytes = encodeRelayFrames(ASK, BODY)
    const got = answer()
    for (const byte of bytes) socket.write(Uint8Array.of(byte))
    expect((await got)?.at(-1)).toEqual(['final', 'cmVj'])
  })

  it('that is refused says so, and the connection goes on', async () => {
    const ask: OutFrame = ['request', canonicalBytes({ ...REQUEST, caller: 'refused' })]
    const [failed] = (await answer(ask, BODY))!
    expect(failed![0]).toBe('failed')
    expect(JSON.parse(failed![1])).toEqual({ error: { code: 'queue.full', message: 'full' } })
    expect((await answer(ASK, BODY))?.at(-1)).toEqual(['final', 'cmVj'])
  })

  it('whose failure nobody foresaw says nothing of it', async () => {
    const said = vi.spyOn(console, 'error').mockImplementation(() => {})
    const ask: OutFrame = ['request', canonicalBytes({ ...REQUEST, caller: 'broken' })]
    const [failed] = (await answer(ask, BODY))!
    expect(failed![1]).toContain('internal.error')
    expect(failed![1]).not.toContain('secret')
    expect(said).toHaveBeenCalledOnce()
    said.mockRestore()
  })

  it('whose gateway goes away is told, and its session ended', async () => {
    work = new Promise(() => {})
    socket.write(encodeRelayFrames(ASK, BODY))
    await vi.waitUntil(() => opened.length === 1)
    socket.destroy()
    await vi.waitUntil(() => aborted.length === 1)
    expect(aborted).toEqual([`${opened[0]} client.gone`])
  })
})

describe('what is no request', () => {
  const head = (members: object): OutFrame => [
    'request',
    canonicalBytes({ ...REQUEST, ...members }),
  ]
  it.each<[string, OutFrame[]]>([
    ['a body without a request', [BODY]],
    ['two requests', [ASK, ASK]],
    ['a frame of the relay’s', [['head', utf8('{}')]]],
    ['an unknown member', [head({ other: 1 }), BODY]],
    ['a missing one', [['request', canonicalBytes({ door: 'envelope' })], BODY]],
    ['another door', [head({ door: 'back' }), BODY]],
    ['no JSON', [['request', utf8('{"caller":"c","caller":"d","door":"envelope"}')], BODY]],
    ['too large a body', [ASK, ['body', new Uint8Array(MAX_ENVELOPE_BYTES + 1)]]],
  ])('%s ends the connection, and no session is opened', async (_, frames) => {
    expect(await answer(...frames)).toBeUndefined()
    expect(opened).toEqual([])
  })

  it('bytes that are no frame end it', async () => {
    const got = answer()
    socket.write('POST /plain HTTP/1.1\r\nhost: x\r\n\r\n')
    expect(await got).toBeUndefined()
  })

  it.each([
    ['request', [ASK, BODY]],
    ['body', [BODY]],
  ])('a second %s at once ends it, and the session of the first', async (_, more) => {
    work = new Promise(() => {})
    expect(await answer(ASK, BODY, ...more)).toBeUndefined()
    await vi.waitUntil(() => aborted.length === 1)
    expect(opened).toHaveLength(1)
  })
})
