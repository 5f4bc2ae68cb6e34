// A TPM that dies, hangs or is cut off at each command: every call fails once, closed, and then recovers.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createConnection, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTpm, type Tpm } from '../embassy/src/tpm/index.ts'
import { startSoftwareTpm } from '../scripts/world/tpm.ts'
import { kill, type Lab, openLab } from './support/software-tpm.ts'

let lab: Lab
const COUNTER = 0x01500018
const CHAIN = 0x01500019
const DIGEST = new Uint8Array(32).fill(5)

beforeAll(async () => {
  lab = await openLab()
})
afterAll(() => lab.close())

const failed = (message: RegExp) =>
  expect.objectContaining({
    code: 'tpm.failed',
    message: expect.stringMatching(message) as string,
  })

test('a dead TPM fails the command, and one that is back serves the next', async () => {
  const world = await lab.start('dead')
  const tpm = await openTpm(world.socketPath)
  const { name } = tpm.ak
  await kill(world.pid)
  await expect(tpm.quote(DIGEST, [14])).rejects.toThrow(failed(/TPM2_Quote|connecting to the TPM/))
  await expect(tpm.clock()).rejects.toThrow(failed(/connecting to the TPM failed/))
  await lab.start('dead')
  const quote = await tpm.quote(DIGEST, [14])
  expect(quote.attest.length).toBeGreaterThan(100)
  expect(tpm.ak.name).toEqual(name)
  await tpm.close()
})

test('another TPM behind the same socket is refused', async () => {
  const world = await lab.start('mine')
  const tpm = await openTpm(world.socketPath)
  await world.stop()
  const stateDir = join(lab.directory, 'foreign')
  const foreign = await startSoftwareTpm({ stateDir, socketPath: world.socketPath })
  await expect(tpm.quote(DIGEST, [14])).rejects.toThrow(failed(/not the one in its certificate/))
  await tpm.close()
  await foreign.stop()
})

test('a second owner is told that the TPM does not answer, and the first goes on', async () => {
  const world = await lab.start('shared')
  const first = await openTpm(world.socketPath)
  await expect(openTpm(world.socketPath, { timeoutMs: 100 })).rejects.toThrow(
    failed(/no answer within 100 ms/),
  )
  await first.quote(DIGEST, [14])
  await first.close()
})

test('what killed owners left loaded never fills the TPM', async () => {
  const world = await lab.start('killed')
  const index = new URL('../embassy/src/tpm/index.ts', import.meta.url).href
  const script = `import { openTpm } from ${JSON.stringify(index)}
    const tpm = await openTpm(${JSON.stringify(world.socketPath)})
    await tpm.quote(new Uint8Array(32), [14])
    console.log('quoted')
    setInterval(() => {}, 1000)`
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    expect(String(await once(child.stdout, 'data'))).toContain('quoted')
    child.kill('SIGKILL')
    await exited
  }
  const tpm = await openTpm(world.socketPath)
  await tpm.quote(DIGEST, [14])
  await tpm.close()
})

/** Sits between owner and TPM, and hangs up in the middle of the answer to the `cutAt`-th command. */
async function cuttingProxy(target: string, path: string) {
  const state = { commands: 0, cutAt: 0 }
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const tpm = createConnection({ path: target })
    for (const socket of [client, tpm]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    client.on('data', (data) => {
      state.commands++
      tpm.write(data)
    })
    tpm.on('data', (data) => {
      if (state.commands !== state.cutAt) return client.write(data)
      client.end(data.subarray(0, data.length >> 1))
      return tpm.destroy()
    })
    client.on('close', () => tpm.destroy())
    tpm.on('close', () => client.destroy())
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    state,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await rm(path, { force: true })
    },
  }
}

const CALLS: [string, (tpm: Tpm) => Promise<unknown>][] = [
  ['quote', (tpm) => tpm.quote(DIGEST, [14])],
  ['extend', (tpm) => tpm.extend(14, DIGEST)],
  ['readPcrs', (tpm) => tpm.readPcrs(Array.from({ length: 24 }, (_, pcr) => pcr))],
  ['clock', (tpm) => tpm.clock()],
  ['counter.define', (tpm) => tpm.counter.define(COUNTER)],
  ['counter.increment', (tpm) => tpm.counter.increment(COUNTER)],
  ['counter.read', (tpm) => tpm.counter.read(COUNTER)],
  ['defineExtendNv', (tpm) => tpm.defineExtendNv(CHAIN)],
  ['extendNv', (tpm) => tpm.extendNv(CHAIN, DIGEST)],
  ['readNv', (tpm) => tpm.readNv(CHAIN)],
]

test('cut at its k-th command, for each k, opening fails closed and leaves nothing behind', async () => {
  const world = await lab.start('cut-open')
  const path = join(lab.directory, 'cut-open.proxy')
  const proxy = await cuttingProxy(world.socketPath, path)
  const whole = await openTpm(path)
  await whole.close()
  const commands = proxy.state.commands - 1 // the last one was the close
  expect(commands).toBeGreaterThan(5)
  for (let k = 1; k <= commands; k++) {
    Object.assign(proxy.state, { commands: 0, cutAt: k })
    await expect(openTpm(path), `command ${k}`).rejects.toThrow(
      failed(/TPM2_\w+ failed: .*hung up/),
    )
    proxy.state.cutAt = 0
    await (await openTpm(path)).close()
  }
  await proxy.close()
})

test.each(CALLS)(
  'cut at its k-th command, for each k, %s fails closed and then works',
  async (name, call) => {
    const world = await lab.start(`cut-${name}`)
    const path = join(lab.directory, `cut-${name}.proxy`)
    const proxy = await cuttingProxy(world.socketPath, path)
    let cuts = 0
    for (let k = 1; ; k++) {
      const tpm = await openTpm(path)
      if (!name.endsWith('efine') && name !== 'defineExtendNv') {
        await tpm.counter.define(COUNTER)
        await tpm.defineExtendNv(CHAIN)
      }
      Object.assign(proxy.state, { commands: 0, cutAt: k })
      const outcome = await call(tpm).then(
        () => 'done',
        (error: unknown) => error,
      )
      if (outcome === 'done') expect(proxy.state.commands).toBeLessThan(k)
      else expect(outcome).toEqual(failed(/TPM2_\w+ failed: .*hung up/))
      proxy.state.cutAt = 0
      await call(tpm)
      await tpm.close()
      if (outcome === 'done') break
      cuts++
    }
    expect(cuts).toBeGreaterThan(0)
    await proxy.close()
    await world.stop()
  },
)
