// What every refusal at the envelope door must leave behind: nothing. One nonce goes through all of a file's bad
// envelopes; at the end the log has not grown and a good envelope with that very nonce is answered, once.
import { readResponse } from '@sealed/protocol'
import { expect, test } from 'vitest'
import { type Crafted, craft, newNonce, type Recipe } from './craft.ts'
import { abortOf, type Reply, type World } from './instance.ts'

export interface Refusal {
  status: number
  code: string
  param?: string
}

/** The frames of a sealed answer, as text; throws when it is cut. */
export async function openAnswer(
  reply: Pick<Reply, 'bytes'>,
  crafted: Crafted,
): Promise<Record<string, string>> {
  const frames: Record<string, string> = {}
  const body = (async function* () {
    yield reply.bytes
  })()
  for await (const { type, plaintext } of readResponse(crafted.context, body))
    frames[type] = (frames[type] ?? '') + new TextDecoder().decode(plaintext)
  return frames
}

export class Refusals {
  readonly nonce: string = newNonce()
  readonly #world: () => World
  #logged: { index: number } | undefined

  constructor(world: () => World) {
    this.#world = world
  }

  /** Notes where the log stands; call it once the instance runs. */
  async begin(): Promise<void> {
    this.#logged = { index: await this.#world().position() }
  }

  /** Sends `make`'s envelope, made with the file's nonce, and expects it to be refused with exactly this. */
  async expect(make: Recipe | ((good: Crafted) => string | Uint8Array), refusal: Refusal) {
    const world = this.#world()
    const { nonce } = this
    const body =
      typeof make === 'function'
        ? make(await craft(world, { nonce }))
        : (await craft(world, { nonce, ...make })).body
    expectRefusal(await world.post(body), refusal)
  }

  /** Declares the test that closes the file: no leaf, no burnt nonce, and the nonce works once. */
  leaveNothing(): void {
    test('nothing of all that made a leaf or burnt the nonce, which then works exactly once', async () => {
      const world = this.#world()
      expect((await world.position()) - this.#logged!.index).toBe(1)
      const good = await craft(world, { nonce: this.nonce })
      const reply = await world.post(good.body)
      expect(reply.status).toBe(200)
      const { head, final } = await openAnswer(reply, good)
      expect(JSON.parse(head!)).toMatchObject({ status: 200 })
      expect(abortOf((JSON.parse(final!) as { receipt: string }).receipt)).toBeUndefined()
      const again = await craft(world, { nonce: this.nonce })
      expectRefusal(await world.post(again.body), { status: 400, code: 'envelope.replayed' })
    })
  }
}

/** OpenAI's shape, a stable code, no receipt: nothing was opened. */
export function expectRefusal(reply: Reply, { status, code, param }: Refusal): void {
  expect({ status: reply.status, code: reply.code }).toEqual({ status, code })
  if (param !== undefined) expect(reply.param).toBe(param)
  const { error, ...rest } = JSON.parse(reply.text) as { error: Record<string, unknown> }
  expect(rest).toEqual({})
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type'])
  expect(reply.headers.has('sealed-receipt-id')).toBe(false)
}
