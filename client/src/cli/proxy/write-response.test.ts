// Mutants: the wait for `drain` dropped; KEPT not looked at.
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
        controller.enqueue(new Uint8Array(65_536))
      },
    })
    const stuck = Object.assign(new Writable({ write: () => {} }), { writeHead: () => {} })
    const written = writeResponse(new Response(body), stuck as unknown as ServerResponse)
    for (let turns = 0; turns < 50; turns++) await turn()
    expect(pulled).toBeLessThan(5)
    stuck.destroy()
    await written
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
