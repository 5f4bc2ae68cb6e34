// Mutants: a connection not given back, or given back with frames left on it; what comes unasked kept for whoever is next;
// one whose answer cannot be used kept.
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { OutFrame } from '@sealed/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { chat } from '../test-support/fakes.ts'
import {
  type Asked,
  askPlain,
  data,
  dial,
  final,
  GOOD,
  giving,
  plainHead,
  readToEnd,
  startWorld,
  until,
  type World,
  type WorldOptions,
} from '../test-support/node-world.ts'

let world: World | undefined
afterEach(async () => {
  await world?.stop()
  world = undefined
})
const start = async (options: WorldOptions) => {
  world = await startWorld(options)
  return world
}

describe('one connection', () => {
  it('of a client serves many requests, one after another', async () => {
    const { port } = await start({ relay: giving(...GOOD) })
    const socket = await dial(port)
    const text = readToEnd(socket)
    const body = chat()
    const head = (connection: string) =>
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: ${connection}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    socket.write(head('keep-alive') + head('keep-alive') + head('close'))
    expect((await text).match(/"receipt":"cmVj"\}/g)).toHaveLength(3)
  })

  it('to the relay serves many requests, and no second one before the first has ended', async () => {
    const sockets = new Set<Socket>()
    const held: Asked[] = []
    let hold = false
    const { port } = await start({
      relay: (asked) => {
        sockets.add(asked.socket)
        if (hold) held.push(asked)
        else asked.send(...GOOD)
      },
    })
    for (let i = 0; i < 5; i++) expect((await askPlain(port)).status).toBe(200)
    expect(sockets.size).toBe(1)
    hold = true
    const both = [askPlain(port), askPlain(port)]
    await until(() => held.length === 2)
    expect(held[0]!.socket).not.toBe(held[1]!.socket)
    for (const { send } of held) send(...GOOD)
    for (const response of both) expect((await response).status).toBe(200)
  })

  it('to the relay on which something comes unasked is closed, and nobody is given it', async () => {
    const asked: Asked[] = []
    const { port } = await start({
      relay: (one) => {
        asked.push(one)
        one.send(...GOOD)
      },
    })
    await (await askPlain(port)).text()
    const [{ socket, send }] = asked as [Asked]
    send(plainHead(), data('{"stray":1}'), final('cmVj'))
    await once(socket, 'close')
    expect(await (await askPlain(port)).text()).toBe('{"a":1,"receipt":"cmVj"}')
  })

  it('to the relay whose answer cannot be used is closed', async () => {
    let closed: Promise<unknown> | undefined
    const { port } = await start({
      relay: ({ socket, send }) => {
        closed = once(socket, 'close')
        send(plainHead({ session: '../x' }), data('secret'))
      },
    })
    expect((await askPlain(port)).status).toBe(424)
    await closed
  })

  it.each<[string, OutFrame[]]>([
    ['more than an answer', [...GOOD, data('stray')]],
    ['another answer', [...GOOD, ...GOOD]],
  ])('to the relay on which %s came is not used again', async (_, frames) => {
    const sockets = new Set<Socket>()
    const { port } = await start({
      relay: ({ socket, send }) => {
        sockets.add(socket)
        send(...frames)
      },
    })
    for (let i = 1; i <= 3; i++) {
      expect(await (await askPlain(port)).text()).toBe('{"a":1,"receipt":"cmVj"}')
      expect(sockets.size).toBe(i)
    }
  })
})
