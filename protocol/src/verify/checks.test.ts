// The recorder of checks: whatever a check does, it is recorded, in order, and only a pass passes.
import { describe, expect, it } from 'vitest'
import { SealedError } from '../errors.ts'
import { Checks, ensure, needs, Refusal, Skip } from './checks.ts'

describe('a check', () => {
  it('that has not ended is a failed one', async () => {
    const checks = new Checks()
    let end = () => {}
    const run = checks.run(
      'receipt.form',
      true,
      () => new Promise((done) => (end = () => done(''))),
    )
    expect(checks.outcome).toBe('failed')
    end()
    await run
    expect(checks.outcome).toBe('verified')
  })

  it('stands where it was begun, whichever ends first', async () => {
    const checks = new Checks()
    let end = () => {}
    const slow = checks.run(
      'receipt.form',
      true,
      () => new Promise((done) => (end = () => done(''))),
    )
    await checks.run('receipt.grammar', true, () => 'at once')
    end()
    await slow
    expect(checks.entries.map(({ id }) => id)).toEqual(['receipt.form', 'receipt.grammar'])
  })

  it.each([
    [new Skip('s'), 'skip', 's'],
    [new Refusal('r'), 'fail', 'r'],
    [new SealedError('json.invalid', 'j'), 'fail', 'j'],
    [new TypeError('inside'), 'fail', 'malformed evidence'],
    ['text', 'fail', 'malformed evidence'],
    [undefined, 'fail', 'malformed evidence'],
  ])('that throws %s is recorded as such', async (thrown, result, reason) => {
    for (const body of [
      () => {
        throw thrown
      },
      () => Promise.reject(thrown),
    ]) {
      const checks = new Checks()
      await checks.run('receipt.form', false, body)
      expect(checks.entries).toEqual([
        { id: 'receipt.form', section: 'Receipt', required: false, result, reason },
      ])
      expect(checks.outcome).toBe(result === 'fail' ? 'failed' : 'verified')
    }
  })

  it('of before counts, and stays as it was', async () => {
    const before = new Checks()
    await before.run('document.form', true, () => {
      throw new Skip('none')
    })
    const checks = new Checks(before.entries)
    await checks.run('receipt.form', true, () => 'ok')
    expect(checks.outcome).toBe('incomplete')
    checks.entries[0]!.result = 'pass'
    expect(before.outcome).toBe('incomplete')
  })
})

describe('conditions', () => {
  it('fail by a refusal, and skip where what they need is missing', () => {
    expect(() => ensure(false, 'no')).toThrow(Refusal)
    expect(() => needs(undefined, 'x')).toThrow(Skip)
    expect(needs(0, 'x')).toBe(0)
  })
})
