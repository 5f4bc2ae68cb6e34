// Mutants tried: a refusal tried again; the first failure thrown; one attempt too many.
import { type Code, SealedError } from '@sealed/protocol'
import { expect, it } from 'vitest'
import { persist } from './persist.ts'

const failing = (codes: Code[]) => {
  const made: Code[] = []
  return {
    made,
    attempt: async () => {
      const code = codes[made.length]
      if (code === undefined) return
      made.push(code)
      throw new SealedError(code, `attempt ${made.length}`)
    },
  }
}

it('tries again what is not there yet, and no longer than it is told to', async () => {
  const twice = failing(['launch.unavailable', 'launch.unavailable'])
  await persist(twice.attempt, 3, 0)
  expect(twice.made).toHaveLength(2)
  const always = failing(Array(9).fill('launch.unavailable'))
  await expect(persist(always.attempt, 3, 0)).rejects.toThrow('attempt 3')
})

it('does not try again what is refused', async () => {
  const refused = failing(['config.invalid', 'config.invalid'])
  await expect(persist(refused.attempt, 3, 0)).rejects.toThrow('attempt 1')
})
