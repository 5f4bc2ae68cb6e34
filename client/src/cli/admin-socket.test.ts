import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { adminSocket } from './admin-socket.ts'

let runtime: string
const servers: Server[] = []
beforeEach(async () => {
  runtime = await mkdtemp(join(tmpdir(), 'sealed-run-'))
})
afterEach(async () => {
  for (const server of servers.splice(0)) server.close()
  await rm(runtime, { recursive: true })
})

async function pathOf(id: string): Promise<string> {
  await mkdir(join(runtime, id, 'embassy'), { recursive: true })
  return join(runtime, id, 'embassy', 'admin.sock')
}

async function embassy(id: string): Promise<string> {
  const path = await pathOf(id)
  const server = createServer((socket) => socket.end())
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return path
}

/** What a kill leaves: Node removes a socket's path when it closes it, but not one that was moved meanwhile. */
async function killed(id: string): Promise<void> {
  const path = await embassy(`${id}-before`)
  await rename(path, await pathOf(id))
  await new Promise((resolve) => servers.pop()!.close(resolve))
}

describe('the one embassy of a machine', () => {
  it('is found beside what one that was killed has left', async () => {
    await killed('aaaa')
    const path = await embassy('bbbb')
    expect(await adminSocket(undefined, runtime)).toBe(path)
  })

  it('is asked for by name where there are two, and missed where there is none', async () => {
    await killed('aaaa')
    await expect(adminSocket(undefined, runtime)).rejects.toThrow('no embassy runs here')
    const both = [await embassy('bbbb'), await embassy('cccc')]
    await expect(adminSocket(undefined, runtime)).rejects.toThrow(both.join(', '))
    expect(await adminSocket('/given', runtime)).toBe('/given')
  })
})
