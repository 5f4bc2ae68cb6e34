// Faults of a TPM's socket that a real one does not show on demand, played by a scripted server.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromHex } from '@sealed/protocol'
import { afterEach, expect, test } from 'vitest'
import { pcrExtend, readClock } from './commands.ts'
import { Link } from './link.ts'
import { openTransport } from './transport.ts'

const CLOCK = '800100000023000000000000000000000029000000000000067d000000070000000001'
const EXTENDED = '80020000001300000000000000000000010000'
const refusal = (code: string) => `80010000000a${code.padStart(8, '0')}`

/** What the server does with one command: answers these bytes, or whatever it likes. */
type Move = string | ((socket: Socket) => void)

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const PATIENT_MS = 10_000
const SHORT_MS = 50

const scripted = (...moves: Move[]) => playing(PATIENT_MS, moves)

async function playing(timeoutMs: number, moves: Move[]) {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-tpm-'))
  const path = join(directory, 's')
  const seen: string[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections++
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      seen.push(data.toString('hex'))
      const move = moves.shift() ?? CLOCK
      if (typeof move === 'string') socket.write(fromHex(move))
      else move(socket)
    })
  })
  server.listen(path)
  await once(server, 'listening')
  const link = new Link({
    dial: () => openTransport(path),
    greet: async () => undefined,
    timeoutMs,
  })
  cleanups.push(async () => {
    await link.close(async () => undefined)
    for (const socket of sockets) socket.destroy()
    server.close()
    await rm(directory, { recursive: true })
  })
  return {
    clock: () => link.run((execute) => execute(readClock())),
    extend: () => link.run((execute) => execute(pcrExtend(14, new Uint8Array(32)))),
    link,
    seen,
    connections: () => connections,
  }
}

const failed = (message: string | RegExp) =>
  expect.objectContaining({
    code: 'tpm.failed',
    message: expect.stringMatching(message) as string,
  })

const hangUpAfter = (hex: string) => (socket: Socket) => void socket.end(fromHex(hex))

test.each<[string, Move, RegExp]>([
  ['hangs up without a word', hangUpAfter(''), /TPM2_ReadClock failed: the TPM hung up$/],
  ['hangs up inside the header', hangUpAfter('8001'), /hung up 2 bytes into its response/],
  ['hangs up inside the body', hangUpAfter(CLOCK.slice(0, 40)), /hung up 20 bytes into/],
  ['announces less than a header', '80010000000900000000', /announced a response of 9 bytes/],
  ['announces too much', '8001ffffffff00000000', /announced a response of 4294967295 bytes/],
  ['sends more than it announced', `${CLOCK}00`, /more than it announced/],
  ['announces a body that is too short', '80010000000e0000000000000000', /ends after 14 bytes/],
  ['announces a body that is too long', `800100000024${CLOCK.slice(12)}00`, /1 bytes more/],
])('a TPM that %s fails the command, and the next one gets a new connection', async (...row) => {
  const [, move, message] = row
  const tpm = await scripted(move)
  await expect(tpm.clock()).rejects.toThrow(failed(message))
  await expect(tpm.clock()).resolves.toMatchObject({ resetCount: 7 })
  expect(tpm.connections()).toBe(2)
})

test.each<[string, Move]>([
  ['never answers', () => undefined],
  ['stops in the middle', '80010000002300000000'],
])('a TPM that %s is left after the deadline', async (_, move) => {
  const tpm = await playing(SHORT_MS, [move])
  await expect(tpm.clock()).rejects.toThrow(failed(/TPM2_ReadClock failed: no answer within 50 ms/))
  expect(tpm.connections()).toBe(1)
})

test('a connection that ended while idle is replaced before the next command', async () => {
  const closed = Promise.withResolvers<void>()
  const tpm = await scripted((socket) => {
    socket.end(fromHex(CLOCK))
    socket.once('close', closed.resolve)
  })
  await tpm.clock()
  await closed.promise
  await tpm.extend().catch(() => undefined)
  expect(tpm.seen.map((hex) => hex.slice(12, 20))).toEqual(['00000181', '00000182'])
  expect(tpm.connections()).toBe(2)
})

test('a command that may have taken effect is not sent twice', async () => {
  const tpm = await scripted(hangUpAfter(''), EXTENDED)
  await expect(tpm.extend()).rejects.toThrow(failed('TPM2_PCR_Extend'))
  expect(tpm.seen).toHaveLength(1)
})

test('a refusal names command and code, and keeps the connection', async () => {
  const tpm = await scripted(refusal('2c4'))
  await expect(tpm.clock()).rejects.toThrow(
    failed(/^TPM2_ReadClock was refused by the TPM: TPM_RC_VALUE \(0x2c4\) at parameter 2$/),
  )
  await tpm.clock()
  expect(tpm.connections()).toBe(1)
})

test('a key that is no longer loaded costs the connection, so that it is made again', async () => {
  const tpm = await scripted(refusal('910'))
  await expect(tpm.clock()).rejects.toThrow(failed('TPM_RC_REFERENCE_H0'))
  await tpm.clock()
  expect(tpm.connections()).toBe(2)
})

test.each(['908', '90a', '920', '922'])('code 0x%s is tried again', async (code) => {
  const tpm = await scripted(refusal(code), refusal(code), EXTENDED)
  await tpm.extend()
  expect(tpm.seen).toHaveLength(3)
  expect(new Set(tpm.seen).size).toBe(1)
})

test('a TPM that only ever says later is given up', async () => {
  const tpm = await scripted(...Array<string>(50).fill(refusal('922')))
  await expect(tpm.clock()).rejects.toThrow(failed('TPM_RC_RETRY'))
  expect(tpm.seen).toHaveLength(10)
})

test('overlapping calls reach the TPM one at a time, in order', async () => {
  let busy = false
  const slow = (answer: string) => (socket: Socket) => {
    expect(busy).toBe(false)
    busy = true
    setImmediate(() => {
      busy = false
      socket.write(fromHex(answer))
    })
  }
  const tpm = await scripted(slow(CLOCK), slow(EXTENDED), slow(CLOCK))
  await Promise.all([tpm.clock(), tpm.extend(), tpm.clock()])
  expect(tpm.seen.map((hex) => hex.slice(12, 20))).toEqual(['00000181', '00000182', '00000181'])
})

test('a response in single bytes is put together', async () => {
  const tpm = await scripted((socket) => {
    socket.setNoDelay(true)
    const bytes = fromHex(CLOCK)
    const next = (at: number) => {
      if (at < bytes.length) socket.write(bytes.subarray(at, at + 1), () => next(at + 1))
    }
    next(0)
  })
  await expect(tpm.clock()).resolves.toMatchObject({ clockMs: 0x67dn })
})

test('a failed greeting drops the connection and fails the job before it starts', async () => {
  let dialled = 0
  const link = new Link({
    dial: async () => {
      dialled++
      return { isOpen: true, transmit: async () => fromHex(refusal('101')), close: () => undefined }
    },
    greet: async (execute) => void (await execute(readClock())),
    timeoutMs: PATIENT_MS,
  })
  await expect(link.run(async () => 'ran')).rejects.toThrow(failed('TPM_RC_FAILURE'))
  await expect(link.run(async () => 'ran')).rejects.toThrow(failed('TPM_RC_FAILURE'))
  expect(dialled).toBe(2)
})

test('a path that is missing, or no socket and no device, is named', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-tpm-'))
  cleanups.push(() => rm(directory, { recursive: true }))
  await writeFile(join(directory, 'plain'), '')
  const at = (path: string) =>
    new Link({
      dial: () => openTransport(path),
      greet: async () => undefined,
      timeoutMs: PATIENT_MS,
    })
  await expect(at(join(directory, 'none')).run(async () => 0)).rejects.toThrow(failed('ENOENT'))
  await expect(at(join(directory, 'plain')).run(async () => 0)).rejects.toThrow(
    failed('neither a character device nor a Unix socket'),
  )
})

test('after close every call fails', async () => {
  const tpm = await scripted()
  await tpm.clock()
  await tpm.link.close(async () => undefined)
  await expect(tpm.clock()).rejects.toThrow(failed('closed by its owner'))
})
