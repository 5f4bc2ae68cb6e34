import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Effect, type Event, type State, transition } from './machine.ts'

const EVENTS: Event[] = ['begin', 'revealed', 'unwound', 'commit', 'refused', 'closed', 'abort']

/** Runs events, those that the state refuses left out; returns what was accepted. */
function run(events: readonly Event[]) {
  let state: State = 'opened'
  const accepted: Event[] = []
  const effects: Effect[] = []
  for (const event of events) {
    try {
      const step = transition(state, event)
      state = step.state
      accepted.push(event)
      effects.push(...step.effects)
    } catch {}
  }
  return { state, accepted, effects }
}
const count = <T>(list: readonly T[], item: T) => list.filter((other) => other === item).length

test('reveals once, commits once, and commits only what was revealed', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 40 }), (events) => {
      const { accepted } = run(events)
      expect(count(accepted, 'revealed')).toBeLessThanOrEqual(1)
      expect(count(accepted, 'commit')).toBeLessThanOrEqual(count(accepted, 'revealed'))
      if (accepted.includes('commit'))
        expect(accepted.indexOf('revealed')).toBeLessThan(accepted.indexOf('commit'))
    }),
  )
})

test('what was revealed ends in exactly one of release and close, and nothing follows', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 60 }), (events) => {
      const { accepted, effects, state } = run(events)
      const ended = count(effects, 'release') + count(effects, 'close')
      expect(ended).toBeLessThanOrEqual(1)
      if (!accepted.includes('revealed')) expect(ended).toBe(0)
      else if (state === 'closed' || state === 'aborted') expect(ended).toBe(1)
      if (effects.includes('forget')) expect(accepted).not.toContain('revealed')
    }),
  )
})

test('an abort never interrupts sealing halfway', () => {
  expect(transition('sealing', 'abort')).toEqual({ state: 'sealing', effects: ['cancel'] })
})

test('an abort after the commit changes nothing of it', () => {
  expect(transition('committing', 'abort')).toEqual({ state: 'committing', effects: [] })
})

test('an event out of order is the caller’s fault', () => {
  expect(() => transition('opened', 'commit')).toThrow(
    expect.objectContaining({ code: 'request.invalid' }),
  )
})
