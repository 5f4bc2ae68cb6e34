// Mutants: `#load` of nothing; `#before` forgotten; the disk not asked.
import { randomBytes, toBase64url } from '@sealed/protocol'
import { expect, it } from 'vitest'
import type { Store } from '../store/store.ts'
import { BEGINNING, Nonces } from './nonces.ts'

const TURN_MS = 900_000
const fresh = () => toBase64url(randomBytes(32))

/** A disk with these nonces on it, which counts how often it is asked for one. */
function diskOf(...used: string[]) {
  const disk = { used, asked: [] as string[], failing: false }
  const runLazy = async (operation: string, argument: unknown) => {
    if (disk.failing) throw new Error('the disk does not answer')
    if (operation === 'nonceBeginnings')
      return disk.used.map((nonce) => nonce.slice(0, argument as number))
    disk.asked.push(argument as string)
    return disk.used.includes(argument as string)
  }
  return { disk, store: { runLazy } as Pick<Store, 'runLazy'> }
}

it('knows those of an earlier life, and asks the disk about no other', async () => {
  const [used, another] = [fresh(), fresh()]
  const { disk, store } = diskOf(used)
  const nonces = new Nonces(store)
  expect(await nonces.has(another)).toBe(false)
  expect(disk.asked).toEqual([])
  expect(await nonces.has(used)).toBe(true)
  expect(disk.asked).toEqual([used])
})

it('takes none twice at once, and believes the disk once it is given back', async () => {
  const nonce = fresh()
  const { disk, store } = diskOf()
  const nonces = new Nonces(store)
  expect(nonces.take(nonce)).toBe(true)
  expect(nonces.take(nonce)).toBe(false)
  nonces.release(nonce)
  // Nothing was begun with it.
  expect(await nonces.has(nonce)).toBe(false)
  expect(nonces.take(nonce)).toBe(true)
  disk.used.push(nonce)
  nonces.release(nonce)
  expect(await nonces.has(nonce)).toBe(true)
})

it('tells nonces apart that begin alike', async () => {
  const used = fresh()
  const alike = used.slice(0, BEGINNING) + fresh().slice(BEGINNING)
  const { disk, store } = diskOf(used)
  expect(await new Nonces(store).has(alike)).toBe(false)
  expect(disk.asked).toEqual([alike])
})

it('remembers a nonce for as long as an envelope with it could come, and not for ever', async () => {
  let now = 5
  const { disk, store } = diskOf()
  const nonces = new Nonces(store, () => now)
  const used = fresh()
  expect(await nonces.has(used)).toBe(false)
  now += TURN_MS - 1
  nonces.take(used)
  nonces.release(used)
  disk.used.push(used)
  now += TURN_MS
  expect(await nonces.has(used)).toBe(true)
  disk.used.length = 0
  now += TURN_MS
  await nonces.has(used)
  now += TURN_MS
  disk.asked.length = 0
  expect(await nonces.has(used)).toBe(false)
  expect(disk.asked).toEqual([])
})

it('lets nobody pass before the disk was read, and reads it again where that failed', async () => {
  const used = fresh()
  const { disk, store } = diskOf(used)
  const nonces = new Nonces(store)
  disk.failing = true
  await expect(nonces.has(fresh())).rejects.toThrow('does not answer')
  disk.failing = false
  expect(await nonces.has(used)).toBe(true)
})
