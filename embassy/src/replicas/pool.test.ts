// Places in replicas. Mutants: any replica instead of the emptiest; a place given back while somebody waits and put to
// the free ones as well; `take` of a replica that somebody is in; a waiter whose tenant is not kept; those who wait served
// in order, whoever a replica is.
import { describe, expect, test } from 'vitest'
import { Pool } from './pool.ts'
import type { Replica } from './replica.ts'

const replica = (index: number) => ({ index }) as Replica
const [a, b] = [replica(0), replica(1)]
const never = new AbortController().signal
const acquire = (pool: Pool) => pool.acquire(60_000, never)

describe('a pool of replicas with three places each', () => {
  test('fills the emptiest first', async () => {
    const pool = new Pool(3)
    pool.offer(a)
    pool.offer(b)
    const four = await Promise.all([1, 2, 3, 4].map(() => acquire(pool)))
    expect(four.map(({ index }) => index)).toEqual([0, 1, 0, 1])
    pool.giveBack(a)
    const next = await Promise.all([1, 2].map(() => acquire(pool)))
    expect(next.map(({ index }) => index)).toEqual([0, 1])
    pool.giveBack(b)
    pool.giveBack(b)
    const last = await Promise.all([1, 2].map(() => acquire(pool)))
    expect(last.map(({ index }) => index)).toEqual([1, 0])
  })

  test('serves whoever waits in order, one place each', async () => {
    const pool = new Pool(3)
    const order: number[] = []
    const waiting = [1, 2, 3, 4].map((n) => acquire(pool).then(() => order.push(n)))
    pool.offer(a)
    await Promise.all(waiting.slice(0, 3))
    expect([order, pool.waiting, pool.free]).toEqual([[1, 2, 3], 1, 0])
    pool.giveBack(a)
    await waiting[3]
    expect([order, pool.free]).toEqual([[1, 2, 3, 4], 0])
  })

  test('knows who is idle', async () => {
    const pool = new Pool(3)
    pool.offer(a)
    pool.offer(b)
    const got = await acquire(pool)
    expect([pool.free, pool.idle]).toEqual([5, 1])
    expect(pool.take(got)).toBe(false)
    pool.giveBack(got)
    expect(pool.take(got)).toBe(true)
    expect(pool.free).toBe(3)
  })

  test('gives no place in what was withdrawn', async () => {
    const pool = new Pool(3)
    pool.offer(a)
    await acquire(pool)
    pool.withdraw(a)
    const left = new AbortController()
    const waiting = pool.acquire(60_000, left.signal)
    left.abort(new Error('left'))
    await expect(waiting).rejects.toThrow('left')
    expect([pool.free, pool.waiting]).toEqual([0, 0])
  })
})

describe('a pool whose replicas are one tenant’s each', () => {
  const acquireFor = (pool: Pool, tenant: string) => pool.acquire(60_000, never, tenant)

  test('gives a tenant its own while that has room, then another that is nobody’s', async () => {
    const pool = new Pool(2)
    const [c, d] = [replica(2), replica(3)]
    for (const each of [c, d]) pool.offer(each)
    const got = await Promise.all(['x', 'x', 'x', 'x'].map((tenant) => acquireFor(pool, tenant)))
    expect(got.map(({ index }) => index)).toEqual([2, 2, 3, 3])
  })

  test('counts nobody’s places and its own as free for a tenant', async () => {
    const pool = new Pool(2)
    for (const each of [replica(2), replica(3)]) pool.offer(each)
    await acquireFor(pool, 'x')
    expect([pool.free, pool.freeFor('x'), pool.freeFor('y')]).toEqual([3, 3, 2])
  })

  test('passes by whoever waits and may not have it', async () => {
    const pool = new Pool(1)
    const [c, d] = [replica(2), replica(3)]
    pool.offer(c)
    await acquireFor(pool, 'x')
    expect(pool.freeFor('x')).toBe(0)
    const order: string[] = []
    const waiting = ['y', 'x'].map((tenant) =>
      acquireFor(pool, tenant).then(({ index }) => order.push(`${tenant}${index}`)),
    )
    pool.giveBack(c)
    await waiting[1]
    pool.offer(d)
    await waiting[0]
    expect(order).toEqual(['x2', 'y3'])
    pool.giveBack(d)
    expect(await Promise.race([acquireFor(pool, 'z'), Promise.resolve('waits')])).toBe('waits')
  })
})
