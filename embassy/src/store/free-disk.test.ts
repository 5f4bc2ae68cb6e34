// Mutants: `left < limitBytes` in place of its negation takes an unreadable file system for one with room.
import { afterEach, expect, test } from 'vitest'
import { FreeDisk } from './free-disk.ts'

const LIMIT = 1_000
let free: () => Promise<number>
const logged: Record<string, unknown>[] = []
const disk = new FreeDisk({
  directory: '/nowhere',
  limitBytes: LIMIT,
  log: (message, fields) => logged.push({ message, ...fields }),
  free: () => free(),
})
afterEach(() => logged.splice(0))

const full = expect.objectContaining({ code: 'disk.full', retryAfterMs: 10_000 })

test('refuses from the first byte below the limit until it is free again, and says each once', async () => {
  free = async () => LIMIT
  await disk.look()
  disk.ensureRoom()
  expect(logged).toEqual([])
  free = async () => LIMIT - 1
  await disk.look()
  await disk.look()
  expect(() => disk.ensureRoom()).toThrow(full)
  expect(disk.isLow).toBe(true)
  free = async () => LIMIT
  await disk.look()
  disk.ensureRoom()
  expect(logged).toMatchObject([
    { message: 'the disk is full: no session is begun', free_bytes: LIMIT - 1 },
    { message: 'the disk has room again', free_bytes: LIMIT },
  ])
})

test('has no room when it cannot be looked at', async () => {
  free = () => Promise.reject(new Error('gone'))
  await disk.look()
  expect(() => disk.ensureRoom()).toThrow(full)
})

test('says whether something large would leave too little', async () => {
  free = async () => LIMIT + 500
  await disk.ensureRoomFor(500)
  await expect(disk.ensureRoomFor(501)).rejects.toThrow(full)
})

test('of a real file system is a number of bytes', async () => {
  const on = (limitBytes: number) => new FreeDisk({ directory: '/', limitBytes, log: () => {} })
  const [some, all] = [on(1), on(2 ** 60)]
  await Promise.all([some.look(), all.look()])
  expect([some.isLow, all.isLow]).toEqual([false, true])
})
