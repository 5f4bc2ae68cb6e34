import { describe, expect, it } from 'vitest'
import type { Certificate } from './certificate.ts'
import { AcmeFailure } from './failure.ts'
import { type Pending, Renewal } from './renewal.ts'
import { renewAt, retryAt } from './schedule.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** Waits after which something turns in a circle. */
const TOO_MANY = 10_000

type Outcome = { life: number } | { asked?: number }

/** A renewal on a clock that jumps to the end of every wait, until `outcomes` are used up. */
async function run(
  outcomes: Outcome[],
  options: { current?: Certificate; pending?: Pending } = {},
) {
  let now = 1_000 * DAY
  const begun = now
  const seen = {
    attempts: [] as number[],
    expired: [] as number[],
    waits: [] as number[],
    kept: undefined as Pending | undefined,
    installed: 0,
  }
  let end: () => void = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const renewal = new Renewal(
    {
      obtain: async () => {
        seen.attempts.push(now - begun)
        const outcome = outcomes.shift()
        if (!outcome) {
          end()
          return new Promise(() => {})
        }
        if ('life' in outcome) return { chain: '', notBefore: now, notAfter: now + outcome.life }
        throw new AcmeFailure('unreachable', 'no', { retryAfterMs: outcome.asked })
      },
      install: async () => {
        seen.installed += 1
      },
      keep: async (pending) => {
        seen.kept = pending
      },
      issued: () => {},
      failed: () => {},
      expired: ({ notAfter }) => seen.expired.push(now - notAfter),
      clock: () => now,
      random: () => 0,
      wait: async (ms) => {
        seen.waits.push(ms)
        if (seen.waits.length > TOO_MANY) {
          end()
          return new Promise(() => {})
        }
        now += ms
      },
    },
    options.current,
    options.pending && { ...options.pending, due_ms: begun + options.pending.due_ms },
  )
  renewal.start()
  await ended
  return { ...seen, begun, renewal }
}

describe('the schedule', () => {
  it('asks at two thirds of a life, and up to a twentieth of it earlier', () => {
    const certificate = { notBefore: 0, notAfter: 90 * DAY }
    expect(renewAt(certificate, 0, 0)).toBe(60 * DAY)
    expect(renewAt(certificate, 0, 1)).toBeCloseTo(55.5 * DAY)
  })

  it('never asks again within a minute, whatever the life', () => {
    expect(renewAt({ notBefore: 0, notAfter: 1_000 }, 5_000, 1)).toBe(5_000 + MINUTE)
  })

  it('waits longer after each failure, up to six hours, and as long as it was asked to, up to a week', () => {
    const waits = [1, 2, 3, 4, 9, 1_000].map(
      (failures) => retryAt(failures, undefined, 0, 0) / MINUTE,
    )
    expect(waits).toEqual([2, 4, 8, 16, 360, 360])
    expect(retryAt(1, undefined, 0, 1)).toBe(2.5 * MINUTE)
    expect(retryAt(1, 3 * HOUR, 0, 0)).toBe(3 * HOUR)
    expect(retryAt(1, 3 * HOUR, 0, 1)).toBeGreaterThan(3 * HOUR)
    expect(retryAt(1, 400 * DAY, 0, 0)).toBe(7 * DAY)
  })
})

describe('a renewal', () => {
  it('asks at once, and again at two thirds of each life, across waits longer than a timer', async () => {
    const { attempts, waits, installed } = await run([{ life: 90 * DAY }, { life: 6 * DAY }])
    expect(attempts).toEqual([0, 60 * DAY, 64 * DAY])
    expect(Math.max(...waits)).toBe(HOUR)
    expect(installed).toBe(2)
  })

  it('tries again with growing pauses, and begins anew with the shortest after a success', async () => {
    const { attempts, kept } = await run([{}, {}, { asked: HOUR }, { life: 3 * HOUR }, {}])
    const minutes = attempts.map((ms) => ms / MINUTE)
    expect(minutes).toEqual([0, 2, 6, 66, 186, 188])
    expect(kept).toMatchObject({ failures: 1 })
  })

  it('does not ask while the certificate of an earlier process has life', async () => {
    const notBefore = 1_000 * DAY - 30 * DAY
    const current = { chain: '', notBefore, notAfter: notBefore + 90 * DAY }
    expect((await run([], { current })).attempts).toEqual([30 * DAY])
  })

  it('waits out what an earlier process was told to, however often it is restarted', async () => {
    const pending = { failures: 3, due_ms: 5 * HOUR }
    expect((await run([{}], { pending })).attempts).toEqual([5 * HOUR, 5 * HOUR + 16 * MINUTE])
    expect((await run([], { pending: { failures: 1, due_ms: 900 * DAY } })).attempts).toEqual([
      7 * DAY,
    ])
  })

  it('tells once that a certificate expired, when it does', async () => {
    const failures = Array.from({ length: 20 }, () => ({}))
    const { expired } = await run([{ life: 3 * HOUR }, ...failures])
    expect(expired).toEqual([0])
  })

  it('asks at once when it is told to, and ends when it is stopped', async () => {
    let attempts = 0
    let asked: () => void = () => {}
    const next = () =>
      new Promise<void>((resolve) => {
        asked = resolve
      })
    const none = async () => {}
    const renewal = new Renewal({
      obtain: async () => {
        attempts += 1
        throw new AcmeFailure('refused', 'no', { retryAfterMs: DAY })
      },
      install: none,
      keep: async () => asked(),
      issued: () => {},
      failed: () => {},
      expired: () => {},
    })
    for (const expected of [1, 2, 3]) {
      const tried = next()
      if (expected === 1) renewal.start()
      else renewal.renewNow()
      await tried
      expect(attempts).toBe(expected)
    }
    await renewal.stop()
    expect(attempts).toBe(3)
  })
})
