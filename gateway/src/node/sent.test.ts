// Mutants: `count` dropped in write, or in end; `writableFinished` made true; 'finish' for 'close'; `writeHead` not watched.
import { once } from 'node:events'
import { ENVELOPE_TYPE } from '@sealed/protocol'
import { afterEach, expect, it } from 'vitest'
import { chat, envelope, ID } from '../test-support/fakes.ts'
import {
  type Asked,
  data,
  final,
  plainHead,
  postHead,
  SEALED_HEAD,
  startWorld,
  until,
  type World,
} from '../test-support/node-world.ts'

let world: World
afterEach(() => world.stop())
const { body: sealedBody } = await envelope(Date.now())

it('counts a buffered answer, and what was read for it', async () => {
  world = await startWorld({
    relay: ({ send }) => send(plainHead(), data('{"a":"ü"}'), final('cmVj')),
  })
  const incoming = await postHead(world.port, '/v1/chat/completions', chat(), 'application/json')
  let length = 0
  incoming.on('data', (part: Buffer) => {
    length += part.length
  })
  await once(incoming, 'end')
  await until(() => world.records.length === 1)
  expect(world.records[0]).toMatchObject({
    status: 200,
    session: ID,
    bytesIn: chat().length,
    bytesOut: length,
    isWhole: true,
  })
  expect(length).toBeGreaterThan(10)
})

it('waits for the end of a stream, and tells one that was cut from one that ended', async () => {
  const streams: Asked[] = []
  world = await startWorld({
    relay: (asked) => {
      asked.send(SEALED_HEAD, data('12345'))
      streams.push(asked)
    },
  })
  for (const [i, end] of [
    () => streams[0]!.send(data('678'), final()),
    () => streams[1]!.socket.destroy(),
    (incoming: { destroy(): void }) => incoming.destroy(),
  ].entries()) {
    const incoming = await postHead(world.port, '/v1/sealed', sealedBody, ENVELOPE_TYPE)
    incoming.on('error', () => {})
    await once(incoming, 'data')
    expect(world.records).toHaveLength(i)
    end(incoming)
    incoming.resume()
    await until(() => world.records.length === i + 1)
  }
  const ends = world.records.map(({ isWhole, bytesOut, session }) => [isWhole, bytesOut, session])
  expect(ends).toEqual([
    [true, 8, ID],
    [false, 5, ID],
    [false, 5, ID],
  ])
})
