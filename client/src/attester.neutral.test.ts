import { beforeAll, describe, expect, it } from 'vitest'
import { type Attested, attest } from './attest.ts'
import { Attester, type AttesterOptions } from './attester.ts'
import { serve } from './test-support/gateway-double.ts'
import { MachineDouble, NOW } from './test-support/machine-double.ts'

const HOUR_MS = 3_600_000
let attested: Attested
beforeAll(async () => {
  const machine = await MachineDouble.create()
  attested = await attest({
    url: 'http://127.0.0.1:8080',
    policy: machine.policy,
    fetch: serve(machine).fetch,
    now: () => NOW,
  })
})

/** An attester at a time that a test moves, and how often it attested. */
function kept(options: Partial<AttesterOptions> = {}) {
  const state = { made: 0, now: NOW }
  const attester = new Attester({
    attest: async () => {
      state.made += 1
      return { ...attested }
    },
    now: () => state.now,
    ...options,
  })
  return { attester, state }
}

describe('an attestation that is kept', () => {
  it('is made once for all who wait and for all who come later', async () => {
    const { attester, state } = kept()
    const [first, second] = await Promise.all([attester.get(), attester.get()])
    expect(second).toBe(first)
    expect(await attester.get()).toBe(first)
    expect(state.made).toBe(1)
  })

  it('is made anew a minute before the machine’s key ends', async () => {
    const { attester, state } = kept({ maxAgeMs: 10 * HOUR_MS })
    const first = await attester.get()
    state.now = first.transportKey.not_after_ms - 60_001
    expect(await attester.get()).toBe(first)
    state.now += 1
    expect(await attester.get()).not.toBe(first)
    expect(state.made).toBe(2)
  })

  it('is made anew when it is doubted, unless it was made just now or it is another by then', async () => {
    const { attester, state } = kept()
    const first = await attester.get()
    state.now += 29_999
    attester.doubt(first)
    expect(await attester.get()).toBe(first)
    state.now += 1
    attester.doubt({ ...first })
    expect(await attester.get()).toBe(first)
    attester.doubt(first)
    expect(await attester.get()).not.toBe(first)
    expect(state.made).toBe(2)
  })

  it('is made anew when it is too old', async () => {
    const { attester, state } = kept({ maxAgeMs: 1000 })
    await attester.get()
    state.now += 999
    await attester.get()
    expect(state.made).toBe(1)
    state.now += 1
    await attester.get()
    expect(state.made).toBe(2)
  })

  it('is made anew once it is forgotten, and only by who had it', async () => {
    const { attester, state } = kept()
    const first = await attester.get()
    attester.forget({ ...first })
    expect(await attester.get()).toBe(first)
    attester.forget(first)
    expect(await attester.get()).not.toBe(first)
    expect(state.made).toBe(2)
  })

  it('is never kept when it failed', async () => {
    let good = false
    const { attester } = kept({
      attest: async () => {
        if (good) return attested
        throw new Error('not trusted')
      },
    })
    await expect(attester.get()).rejects.toThrow('not trusted')
    await expect(attester.get()).rejects.toThrow('not trusted')
    good = true
    expect(await attester.get()).toBe(attested)
  })

  it('goes on for the others when one who waits gives up', async () => {
    const gate = Promise.withResolvers<Attested>()
    const { attester } = kept({ attest: () => gate.promise })
    const controller = new AbortController()
    const impatient = attester.get(controller.signal)
    const patient = attester.get()
    controller.abort()
    await expect(impatient).rejects.toBe(controller.signal.reason)
    gate.resolve(attested)
    expect(await patient).toBe(attested)
    await expect(attester.get(controller.signal)).rejects.toBe(controller.signal.reason)
  })
})
