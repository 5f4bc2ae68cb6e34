// The nightly fuzzing with a small budget and a fixed seed, in every runtime; and that it would find what it looks for.
import { describe, expect, it } from 'vitest'
import { toBase64url, utf8 } from '../bytes.ts'
import { SealedError } from '../errors.ts'
import { allocationBound, fuzz, inputOf, judgeInput, refusedSamples, type Target } from './run.ts'
import { allTargets } from './targets.ts'

const SEED = 20_261_127
const INPUTS = 300
const targets = await allTargets()

describe.each(targets)('$name', (target) => {
  it('accepts its samples as they are', async () => {
    expect(target.samples.length).toBeGreaterThan(0)
    expect(await refusedSamples(target)).toEqual([])
  })

  it('meets nothing but its own errors, within bounds, and accepts nothing changed', async () => {
    const inputs = Math.ceil((INPUTS * (target.percent ?? 100)) / 100)
    const finding = await fuzz(target, { seed: SEED, inputs })
    const input = finding && toBase64url(finding.input)
    expect(finding && { ...finding, input }).toBeUndefined()
  })
})

describe('a finding', () => {
  const target = (accepts: Target['accepts'], more: Partial<Target> = {}): Target => ({
    name: 'test',
    samples: [utf8('{"a":[1,"b"]}')],
    shape: 'json',
    accepts,
    ...more,
  })
  const find = (made: Target) => fuzz(made, { seed: 1, inputs: 50 })

  it('is an error that is none of ours', async () => {
    const throws = target(() => {
      throw new TypeError('inside')
    })
    expect((await find(throws))?.what).toMatch(/^threw TypeError: inside/)
    const refuses = target(() => {
      throw new SealedError('json.invalid', 'no')
    })
    expect(await find(refuses)).toBeUndefined()
  })

  it('is a changed thing that was accepted', async () => {
    const signed = (input: Uint8Array) => toBase64url(input) === toBase64url(utf8('{"a":[1,"b"]}'))
    expect((await find(target(() => true, { signed })))?.what).toBe('accepted what nobody signed')
    expect(await find(target(signed, { signed }))).toBeUndefined()
  })

  it.each([
    ['made', (size: number) => new Uint8Array(size)],
    ['made as a buffer', (size: number) => new ArrayBuffer(size)],
    ['copied', (size: number) => new Uint8Array(new ArrayBuffer(size)).slice()],
    ['filled', (size: number) => Uint8Array.from({ length: size })],
  ])('is an allocation above the bound: %s', async (_, allocate) => {
    const greedy = target((input) => allocate(allocationBound(input.length) + 1) !== undefined)
    expect((await find(greedy))?.what).toMatch(/^allocated \d+ bytes/)
    expect(await find(target(() => allocate(1000) !== undefined))).toBeUndefined()
  })

  it('is a parser that writes to its input', async () => {
    const writes = target((input) => {
      input[0]! ^= 1
      return false
    })
    expect((await find(writes))?.what).toBe('wrote to its input')
  })

  it('comes again from its seed and number, whatever was made before', async () => {
    const [first] = targets as [Target]
    const before = inputOf(first, SEED, 1)
    for (let number = 0; number < 2000; number++) inputOf(first, SEED, number)
    expect(inputOf(first, SEED, 1)).toEqual(before)
    for (const number of [0, 1, 77]) {
      const input = inputOf(first, SEED, number)
      expect(inputOf(first, SEED, number)).toEqual(input)
      expect(inputOf(first, SEED + 1, number)).not.toEqual(input)
      expect(await judgeInput(first, input)).toBeUndefined()
    }
  })
})
