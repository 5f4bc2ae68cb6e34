import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, lstatSync } from 'node:fs'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CHAT, readTensors, type Serving, serving } from '../test-support/serving.ts'
import { BEHAVIOURS, hostileWorkload } from './workload.ts'

const stops: (() => unknown)[] = []
let server: Serving
beforeEach(async () => {
  server = await serving(hostileWorkload)
})
afterEach(async () => {
  await server.close()
  for (const stop of stops.splice(0)) await stop()
})

const behave = (name: string, options: object = {}) =>
  server.post({ messages: [{ role: 'user', content: 'x' }], behave: { name, ...options } })
const onlyFile = () => {
  const files = server.dropped().filter((name) => name.endsWith('.safetensors'))
  expect(files).toHaveLength(1)
  return join(server.activations, files[0]!)
}

test('asked for nothing, it answers well; what it does not know it refuses', async () => {
  const response = await server.post({ messages: [{ role: 'user', content: 'x' }] })
  expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'ok' } }] })
  expect(readTensors(onlyFile()).tensors.get('hidden_states')?.shape).toEqual([4, 4, 32])
  const refused = await behave('be-nice')
  expect(refused.status).toBe(400)
  expect(await refused.json()).toMatchObject({ error: { code: 'unknown_behaviour' } })
})

test('a behaviour is asked for by member or by message', async () => {
  for (const body of [
    { behave: 'status' },
    { messages: [{ role: 'user', content: 'behave: status' }] },
    { prompt: 'behave: status' },
  ])
    expect((await server.post(body)).status).toBe(500)
})

describe('activations', () => {
  const FAULTS = [...BEHAVIOURS.keys()].filter((name) => name.startsWith('activations-'))

  test.each(FAULTS)('%s come with a good answer', async (name) => {
    const response = await behave(name, { ms: 1, count: 70, bytes: 2 ** 20 })
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'ok' } }] })
  })

  test.each([
    ['nan', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
  ])('%s: one value, in the middle layer', async (name, value) => {
    await behave(`activations-${name}`)
    const { bytes } = readTensors(onlyFile()).tensors.get('hidden_states')!
    const odd = Array.from({ length: bytes.length / 4 }, (_, i) => [
      i,
      bytes.readFloatLE(4 * i),
    ]).filter(([, read]) => !Number.isFinite(read))
    expect(odd).toEqual([[1 * 4 * 32 + 2 * 32 + 7, value]])
  })

  test.each([
    ['wrong-dtype', { dtype: 'I32' }],
    ['wrong-shape', { shape: [4, 4, 31] }],
    ['wrong-rank', { shape: [16, 32] }],
    ['good-f16', { dtype: 'F16', shape: [4, 4, 32] }],
    ['good-bf16', { dtype: 'BF16', shape: [4, 4, 32] }],
  ])('%s: the header says so', async (name, header) => {
    await behave(`activations-${name}`)
    expect(readTensors(onlyFile()).tensors.get('hidden_states')).toMatchObject(header)
  })

  test('the good layouts hold the same numbers', async () => {
    const usual = async (name: string) => {
      const before = new Set(server.dropped())
      await behave(name)
      const [file] = server.dropped().filter((dropped) => !before.has(dropped))
      return readTensors(join(server.activations, file!)).tensors
    }
    await behave('held')
    const all = readTensors(onlyFile()).tensors.get('hidden_states')!.bytes
    const at = (layer: number) => all.readFloatLE(4 * ((1 * 4 + layer) * 32 + 5))
    const layers = await usual('activations-good-layers')
    for (const layer of [0, 1, 2, 3])
      expect(layers.get(`layer.${layer}`)?.bytes.readFloatLE(4 * (32 + 5))).toBe(at(layer))
    const bf16 = (await usual('activations-good-bf16')).get('hidden_states')!.bytes
    const bits = Buffer.alloc(4)
    bits.writeUInt16LE(bf16.readUInt16LE(2 * ((4 + 2) * 32 + 5)), 2)
    expect(Math.abs(bits.readFloatLE() - at(2))).toBeLessThan(2 ** -8)
    const f16 = (await usual('activations-good-f16')).get('hidden_states')!.bytes
    const half = f16.readUInt16LE(2 * ((4 + 2) * 32 + 5))
    const value = (1024 + (half & 1023)) * 2 ** (((half >> 10) & 31) - 25)
    expect(Math.abs((half & 0x8000 ? -value : value) - at(2))).toBeLessThan(2 ** -10)
  })

  test('none, a part, two, a link, a folder, a lock', async () => {
    const names = async (name: string) => {
      const before = new Set(server.dropped())
      await behave(`activations-${name}`)
      return server.dropped().filter((dropped) => !before.has(dropped))
    }
    expect(await names('none')).toEqual([])
    expect(await names('part-only')).toEqual([expect.stringMatching(/\.part$/)])
    expect(await names('two-files')).toHaveLength(2)
    expect(await names('locked')).toContainEqual(expect.stringMatching(/\.lock$/))
    const kind = async (name: string) =>
      lstatSync(join(server.activations, (await names(name))[0]!))
    expect((await kind('symlink')).isSymbolicLink()).toBe(true)
    expect((await kind('directory')).isDirectory()).toBe(true)
    expect((await kind('huge')).size).toBe(2 ** 30)
  })

  test('late ones come after the answer', async () => {
    await (await behave('activations-late', { ms: 30 })).text()
    expect(server.dropped()).toEqual([])
    await vi.waitUntil(() => server.dropped().length === 1)
  })
})

describe('answers', () => {
  test('a truncated one, a broken chunk, no HTTP at all and false gzip are errors to any client', async () => {
    for (const name of ['truncated', 'bad-chunk', 'gzip-lie'])
      await expect(behave(name).then((response) => response.text())).rejects.toThrow()
    await expect(behave('not-http')).rejects.toThrow('fetch failed')
    await expect(behave('endless-headers')).rejects.toThrow('fetch failed')
  })

  test.each(['status', 'status-text'])('%s takes the status that it is told', async (name) => {
    expect((await behave(name)).status).toBe(500)
    expect((await behave(name, { status: 503 })).status).toBe(503)
  })

  test('an endless one goes on until the client leaves, and then the next is served', async () => {
    const leaving = new AbortController()
    const response = await server.post({ behave: 'endless' }, { signal: leaving.signal })
    let size = 0
    for await (const chunk of response.body!) {
      size += chunk.length
      if (size > 4 * 1024 * 1024) break
    }
    leaving.abort()
    expect((await server.post({})).status).toBe(200)
  })

  test('a huge one is as large as it is told', async () => {
    const bytes = (await (await behave('huge', { bytes: 100_000 })).arrayBuffer()).byteLength
    expect(bytes).toBe(100_000)
  })

  test.each([
    ['forged-receipt', ',"receipt":"'],
    ['forged-receipt-chunk', '"choices":[],"receipt":"'],
    ['forged-heartbeat', ': sealed\n\n'],
    ['trailing-bytes', '}\n{'],
    ['overlong', '"finish_reason":"stop"}]}'],
  ])('%s is in the bytes', async (name, part) => {
    expect(await (await behave(name)).text()).toContain(part)
  })

  test('all leave good activations behind', async () => {
    for (const name of ['status', 'truncated', 'forged-receipt', 'gzip']) {
      const before = server.dropped().length
      await behave(name)
        .then(
          (response) => response.text(),
          () => undefined,
        )
        .catch(() => undefined)
      expect(server.dropped()).toHaveLength(before + 1)
    }
  })
})

describe('sockets', () => {
  test('flows opened in one request carry bytes in a later one', async () => {
    let heard = ''
    const outside = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (data) => {
        heard += data
        socket.write('back')
      })
    }).listen(0, '127.0.0.1')
    await once(outside, 'listening')
    const target = `tcp:127.0.0.1:${(outside.address() as AddressInfo).port}`
    const held = (await (
      await behave('hold', { targets: [target, 'tcp:127.0.0.1:1'] })
    ).json()) as {
      metadata: Record<string, string>
    }
    expect(held.metadata[`held_${target}`]).toBe('open, 0 bytes received')
    expect(held.metadata['held_tcp:127.0.0.1:1']).toBe('failed: ECONNREFUSED, 0 bytes received')
    await behave('send', { token: 'smuggled', for_ms: 0 })
    await vi.waitUntil(() => heard === 'smuggled')
    outside.close()
  })
})

describe('processes', () => {
  async function start(
    env: Record<string, string> = {},
  ): Promise<{ child: ChildProcess; url: string }> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
      env: { PORT: '0', ACTIVATIONS_DIR: server.activations, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    stops.push(() => child.kill('SIGKILL'))
    const [line] = (await once(child.stdout!, 'data')) as [Buffer]
    const port = /^listening on port (\d+)\n$/.exec(String(line))?.[1]
    return { child, url: `http://127.0.0.1:${port}` }
  }
  const post = (url: string, body: object) =>
    fetch(url + CHAT, { method: 'POST', body: JSON.stringify(body) })

  test.each([
    ['crash', 0],
    ['crash-in-answer', 1],
    ['crash-after-activations', 1],
  ])('%s ends the process without a whole answer', async (name, files) => {
    const { child, url } = await start()
    const ended = once(child, 'exit')
    await expect(post(url, { behave: name }).then((answer) => answer.text())).rejects.toThrow()
    expect(await ended).toEqual([1, null])
    expect(server.dropped()).toHaveLength(files)
  })

  test('crash-after-answer answers first', async () => {
    const { child, url } = await start()
    const ended = once(child, 'exit')
    expect((await post(url, { behave: 'crash-after-answer' })).status).toBe(200)
    expect(await ended).toEqual([1, null])
  })

  test('connects out before it serves', async () => {
    const arrived: string[] = []
    const outside = createTcpServer((socket) => {
      socket.on('data', (data) => arrived.push(String(data)))
    }).listen(0, '127.0.0.1')
    await once(outside, 'listening')
    const { port } = outside.address() as AddressInfo
    await start({ CONNECT_OUT: `127.0.0.1:${port}`, CONNECT_OUT_TOKEN: 'hasty' })
    await vi.waitUntil(() => arrived.length === 1)
    expect(arrived).toEqual(['hasty'])
    outside.close()
  })

  test('connects out even where nothing else of it can be loaded', async () => {
    const outside = createTcpServer().listen(0, '127.0.0.1')
    await once(outside, 'listening')
    const arrived = once(outside, 'connection')
    for (const name of ['main.ts', 'connect-out.ts'])
      copyFileSync(join(import.meta.dirname, name), join(server.activations, name))
    const { port } = outside.address() as AddressInfo
    const child = spawn(process.execPath, [join(server.activations, 'main.ts')], {
      env: { CONNECT_OUT: `127.0.0.1:${port}` },
      stdio: 'ignore',
    })
    const [code] = (await once(child, 'exit')) as [number]
    expect(code).toBe(1)
    const [socket] = (await arrived) as [Socket]
    socket.on('error', () => socket.destroy()).destroy()
    outside.close()
  })

  test('a hanging request holds its turn until the client leaves', async () => {
    const started: unknown[] = []
    const watched = await serving({
      model: hostileWorkload.model,
      complete(call) {
        started.push(call.body.behave)
        return hostileWorkload.complete(call)
      },
    })
    const leaving = new AbortController()
    const hanging = watched.post({ behave: 'hang' }, { signal: leaving.signal }).catch(() => 'left')
    await vi.waitUntil(() => started.length === 1)
    const next = watched.post({ behave: 'held' })
    expect((await fetch(`${watched.url}/health`)).status).toBe(200)
    expect(started).toEqual(['hang'])
    leaving.abort()
    expect(await hanging).toBe('left')
    expect((await next).status).toBe(200)
    await watched.close()
  })
})
