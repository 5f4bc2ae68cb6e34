// Mutants: the wait for `drain` dropped; KEPT not looked at.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type Entry, VerdictRing } from './verdict-ring.ts'
import { writeResponse } from './write-response.ts'

describe('a body that is written', () => {
  it('is read no faster than its reader takes it', async () => {
    let pulled = 0
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled += 1
        controller.enqueue(new Uint8Array(1024))
        if (pulled === 1000) controller.close()
      },
    })
    const stuck = Object.assign(new Writable({ write: () => {} }), { writeHead: () => {} })
    const written = writeResponse(new Response(body), stuck as unknown as ServerResponse)
    for (let turns = 0; turns < 100; turns++) await turn()
    expect(pulled).toBeLessThan(100)
    stuck.destroy()
    await written
  })
})

describe('a body that fails', () => {
  it('ends the connection, whatever its type', async () => {
    for (const type of ['application/json', 'text/event-stream']) {
      const ends: string[] = []
      const to = Object.assign(
        new Writable({
          write: (_chunk, _encoding, done) => done(),
          final: (done) => {
            ends.push('well')
            done()
          },
        }),
        { writeHead: () => {} },
      )
      const body = new ReadableStream({ start: (it) => it.error(new Error('cut')) })
      const response = new Response(body, { headers: { 'content-type': type } })
      const written = writeResponse(response, to as unknown as ServerResponse)
      await expect(written).rejects.toThrow('cut')
      if (!to.destroyed) await once(to, 'close')
      expect(ends).toEqual([])
    }
  })
})

describe('the list of verdicts', () => {
  it('is bounded, newest first', () => {
    const ring = new VerdictRing()
    for (let at = 0; at < 1000; at++) ring.add({ id: String(at) } as Entry)
    expect(ring.list()).toHaveLength(256)
    expect(ring.list()[0]!.id).toBe('999')
  })
})
