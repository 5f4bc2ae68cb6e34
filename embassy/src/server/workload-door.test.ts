// The embassy as a workload that takes part itself finds it on its link: what it is given, and what it is not.
// Mutants, each red here: a key given twice, or to another link, or once the commit is under way; a commitment that may be
// replaced; no bound on body, connections or refusals; a commit that does not look at the commitment.
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeReceipt } from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ReplicaLink } from '../seal/index.ts'
import { DIGEST, EmbassyWorld, newMachine } from '../test-support/embassy-world.ts'
import { FakeTpm } from '../test-support/fake-tpm.ts'
import type { Listening } from './listen.ts'
import { listenForWorkload } from './workload-door.ts'

let directory: string
let world: EmbassyWorld
let listening: Listening[] = []
/** Where each replica's workload finds the embassy, by the replica's address. */
const urls = new Map<string, string>()

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealed-workload-door-'))
  world = new EmbassyWorld(await newMachine(directory, new FakeTpm()), undefined, 'required', {
    protocol: 'cooperative',
  })
  await world.start()
  for (const { link } of world.fleet.replicas) await hear(link)
})
afterEach(async () => {
  for (const { close } of listening) await close()
  listening = []
  await world.stop()
  rmSync(directory, { recursive: true })
})

async function hear(link: ReplicaLink): Promise<void> {
  const port = await freePort()
  // Its own link as far as the sessions know: only where it listens is this machine's.
  const here = Object.assign(link, { embassyPort: port, hostAddress4: '127.0.0.1' })
  listening.push(await listenForWorkload(here, world.sessions))
  urls.set(link.workloadAddress4, `http://127.0.0.1:${port}/v1/sessions`)
}
const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

async function asks(
  address: string,
  path: string,
  body?: object | string,
): Promise<{ status: number; said: { key?: string; error?: { code: string } } }> {
  const response = await fetch(`${urls.get(address)}/${path}`, {
    method: 'POST',
    ...(body && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, said: text.startsWith('{') ? JSON.parse(text) : {} }
}
const commitment = { output_sha256: DIGEST }
async function begun() {
  const { id, revealed } = await world.begin()
  world.handOver(revealed.address, [1, 0])
  return { id, revealed, address: revealed.address }
}

describe('the key', () => {
  test('is given to the workload that has the session, once, and it is the relay’s', async () => {
    const { id, address, revealed } = await begun()
    const { status, said } = await asks(address, `${id}/reveal`)
    expect(status).toBe(200)
    expect(said.key).toMatch(/^[\w-]{43}=$/)
    expect(said.key!.slice(0, 43)).toBe(revealed.cooperative!.input_key)
    expect(await asks(address, `${id}/reveal`)).toMatchObject({
      status: 400,
      said: { error: { code: 'request.invalid' } },
    })
  })

  test('is where the relay was told that it is', async () => {
    const { id, address, revealed } = await begun()
    expect(revealed.cooperative!.url).toBe(`${urls.get(address)}/${id}`)
    expect(revealed.encryption_key).toBeUndefined()
  })

  test('is not given to another replica, nor for a session that is not there or no more', async () => {
    const [mine, other] = [await begun(), await begun()]
    expect(mine.address).not.toBe(other.address)
    for (const id of [mine.id, 'ab'.repeat(16), 'x'])
      expect(await asks(other.address, `${id}/reveal`)).toMatchObject({
        status: 400,
        said: { error: { code: 'request.not_found' } },
      })
    await asks(mine.address, `${mine.id}/unseal`, commitment)
    await world.commit(mine.id)
    const late = await asks(mine.address, `${mine.id}/reveal`)
    expect(late.said.error!.code).toBe('request.not_found')
  })
})

test('once the commit is under way the key is not given any more', async () => {
  const { id, revealed } = await world.begin()
  await asks(revealed.address, `${id}/unseal`, commitment)
  // It waits for the activations, which never come.
  const committing = expect(world.commit(id)).rejects.toThrow()
  const { said } = await asks(revealed.address, `${id}/reveal`)
  expect(said.error!.code).toBe('request.not_found')
  await committing
})

describe('a session', () => {
  test('ends well with the output that the workload committed to, and says who was given the key', async () => {
    const { id, address } = await begun()
    expect(await asks(address, `${id}/unseal`, commitment)).toMatchObject({ status: 202 })
    const { statements } = decodeReceipt(await world.commit(id)).leaf
    expect(statements).toContainEqual(
      expect.objectContaining({ type: 'input_key.revealed', to: 'workload' }),
    )
  })

  test.each([
    ['was not committed to', undefined],
    ['is another than was committed to', { output_sha256: 'cd'.repeat(32) }],
  ])('does not with one that %s', async (_, body) => {
    const { id, address } = await begun()
    if (body) await asks(address, `${id}/unseal`, body)
    await expect(world.commit(id)).rejects.toMatchObject({ code: 'workload.failed' })
  })

  test('takes one commitment, of its own workload', async () => {
    const [mine, other] = [await begun(), await begun()]
    expect((await asks(other.address, `${mine.id}/unseal`, commitment)).status).toBe(400)
    expect((await asks(mine.address, `${mine.id}/unseal`, commitment)).status).toBe(202)
    const again = { output_sha256: 'cd'.repeat(32) }
    expect((await asks(mine.address, `${mine.id}/unseal`, again)).status).toBe(400)
    await world.commit(mine.id)
  })
})

describe('whatever else is said', () => {
  test.each<[string, number, string, string | undefined]>([
    ['another path', 404, 'x/keys', undefined],
    ['no JSON', 400, 'x/unseal', '{'],
    ['a member more', 400, 'x/unseal', JSON.stringify({ ...commitment, more: 1 })],
    ['a short digest', 400, 'x/unseal', JSON.stringify({ output_sha256: 'ab' })],
    ['too much', 413, 'x/unseal', ' '.repeat(2_000)],
  ])('%s is refused with %i', async (_, status, path, body) => {
    const { address } = await begun()
    expect((await asks(address, path, body)).status).toBe(status)
  })

  test('a workload that is refused again and again is not listened to any more', async () => {
    const { address, id } = await begun()
    let refused = 0
    const until = async (): Promise<unknown> => {
      for (;;) {
        await asks(address, 'x/reveal')
        refused += 1
      }
    }
    await expect(until()).rejects.toThrow()
    expect(refused).toBeGreaterThan(200)
    expect(refused).toBeLessThan(300)
    await expect(asks(address, `${id}/reveal`)).rejects.toThrow()
  })

  test('it holds few connections', async () => {
    const { address } = await begun()
    const { port } = new URL(urls.get(address)!)
    const sockets = Array.from({ length: 80 }, () => connect(Number(port), '127.0.0.1'))
    const closed = await Promise.all(
      sockets.slice(64).map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    )
    expect(closed.length).toBe(16)
    for (const socket of sockets) socket.destroy()
  })
})
