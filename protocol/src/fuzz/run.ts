// Feeds a target with random bytes and with changed samples, and looks at what comes of it: an error that is none of
// ours, an allocation above the bound, or a signed thing that was changed and accepted nonetheless.
import { type Bytes, equal, fromUtf8, randomBytes } from '../bytes.ts'
import { SealedError } from '../errors.ts'
import { countingAllocations } from './allocations.ts'
import { mutateBytes, mutateLines } from './mutate-bytes.ts'
import { mutateJson } from './mutate-json.ts'
import { Random } from './random.ts'

export interface Target {
  name: string
  /** Valid inputs. */
  samples: readonly Bytes[]
  shape: 'bytes' | 'json' | 'lines'
  /** Whether the input was accepted; refusing by a `SealedError` is as good as by `false`. */
  accepts: (input: Bytes) => Promise<boolean> | boolean
  /** Signed: what is accepted must mean the same as a sample, by default be the same bytes. */
  signed?: (input: Bytes) => boolean
  /** Of a hundred inputs, how many a slow target gets; all of them without it. */
  percent?: number
}

export interface Finding {
  target: string
  what: string
  input: Bytes
  /** Number of the input under its seed. */
  number: number
}

/** What an input of `length` bytes may make a target allocate in typed arrays. */
export const allocationBound = (length: number): number => 256 * 1024 + 64 * length

/** The input with this number: the same for the same seed, target and samples. */
export function inputOf(target: Target, seed: number, number: number): Bytes {
  const random = new Random(seed, target.name, number)
  if (target.samples.length === 0 || random.once(10))
    return random.bytes(random.below(random.pick([1, 16, 256, 4096])))
  const [sample, other] = [random.pick(target.samples), random.pick(target.samples)]
  if (target.shape === 'json') return mutateJson(random, sample, other)
  if (target.shape === 'lines') return mutateLines(random, fromUtf8(sample))
  return mutateBytes(random, sample, other)
}

/** Why this input is a finding, or undefined. */
export async function judgeInput(target: Target, input: Bytes): Promise<string | undefined> {
  const before = input.slice()
  return countingAllocations(async (counted) => {
    let accepted = false
    try {
      accepted = await target.accepts(input)
    } catch (error) {
      if (!(error instanceof SealedError)) return `threw ${describe(error)}`
      if (!error.message) return `threw ${error.code} without a message`
    }
    if (counted.bytes > allocationBound(input.length))
      return `allocated ${counted.bytes} bytes for an input of ${input.length}`
    if (!equal(before, input)) return 'wrote to its input'
    if (accepted && target.signed && !target.signed(input)) return 'accepted what nobody signed'
    return undefined
  })
}

const describe = (error: unknown): string =>
  error instanceof Error
    ? `${error.name}: ${error.message} ${error.stack?.split('\n')[1] ?? ''}`
    : String(error)

/** Feeds `inputs` inputs from number `from` on; stops at the first finding. */
export async function fuzz(
  target: Target,
  options: { seed: number; inputs: number; from?: number; onInput?: (number: number) => void },
): Promise<Finding | undefined> {
  const from = options.from ?? 0
  for (let number = from; number < from + options.inputs; number++) {
    options.onInput?.(number)
    const input = inputOf(target, options.seed, number)
    const what = await judgeInput(target, input)
    if (what) return { target: target.name, what, input, number }
  }
  return undefined
}

/** A target whose samples are refused tests nothing: every one must be accepted as it is. */
export async function refusedSamples(target: Target): Promise<number[]> {
  const refused: number[] = []
  for (const [i, sample] of target.samples.entries())
    if (!(await Promise.resolve(target.accepts(sample)).catch(() => false))) refused.push(i)
  return refused
}

export const freshSeed = (): number => new DataView(randomBytes(4).buffer).getUint32(0)
