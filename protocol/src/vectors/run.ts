// Runs the cases of one file of protocol/vectors/ (tests only): a valid case must come out as it says, any other must
// be refused. The files are made by test/vectors/generate.py, which shares no code with this one.
import { expect, test } from 'vitest'
import { SealedError } from '../errors.ts'
import { Refusal } from '../verify/checks.ts'

export interface Edit {
  at: (string | number)[]
  put?: unknown
  drop?: boolean
}
interface Case {
  name: string
  valid: boolean
  edits?: Edit[]
  expect?: unknown
  reason?: string
}
/** What one run gets: the case's members, typed by who reads them. */
export type Given<T> = T & Omit<Case, 'expect'>

/** One test a case. `run` returns what `expect` holds, or throws. */
export function runVectors<T>(
  file: { format: string; base?: unknown; cases: unknown[] },
  run: (given: Given<T>) => unknown,
): void {
  for (const each of file.cases as (Given<T> & Case)[])
    test(`${file.format}: ${each.valid ? 'accepts' : 'refuses'} ${each.name}`, async () => {
      // Called inside, so that one that throws at once and one that rejects are alike.
      const outcome = Promise.resolve().then(() => run(each))
      if (each.valid) expect((await outcome) ?? null).toEqual(each.expect ?? null)
      // Refused on purpose: a TypeError from within is no refusal.
      else await expect(outcome).rejects.toSatisfy(isRefusal)
    })
}

const isRefusal = (error: unknown) => error instanceof SealedError || error instanceof Refusal

/** A case's value: its base with its edits made. */
export function edited<T>(base: T, edits: readonly Edit[] = []): T {
  const value = structuredClone(base)
  for (const { at, put, drop } of edits) {
    let inner = value as Record<string | number, unknown>
    for (const step of at.slice(0, -1)) inner = inner[step] as Record<string | number, unknown>
    const last = at.at(-1)!
    if (!drop) inner[last] = structuredClone(put)
    else if (Array.isArray(inner)) inner.splice(last as number, 1)
    else delete inner[last]
  }
  return value
}
