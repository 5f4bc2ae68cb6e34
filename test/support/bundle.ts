// Whole bundles of evidence as plain JSON, for two verifiers to judge alike: ours and the one in Python.
import {
  encodeReceipt,
  type Policy,
  type Receipt,
  type ReceiptInput,
  verifyReceipt,
} from '@sealed/protocol'
import { type Bundle, inputOf, policyOf } from '../../protocol/src/vectors/bundle.ts'
import { python } from './python.ts'

/** Outcome, and result of each check with whether it was required; null where the policy, or some base64url, is none. */
export type Judgement = {
  outcome: string
  checks: { id: string; required: boolean; result: string }[]
} | null

const encoded = (receipt: Receipt | string) =>
  typeof receipt === 'string' ? receipt : encodeReceipt(receipt)

export async function ourJudgement(bundle: Bundle): Promise<Judgement> {
  let policy: Policy
  let input: ReceiptInput
  try {
    policy = policyOf(bundle)
    input = inputOf(bundle)
  } catch {
    return null
  }
  const { checks, outcome } = await verifyReceipt(input, policy, bundle.now_ms)
  return { outcome, checks: checks.map(({ id, required, result }) => ({ id, required, result })) }
}

export async function theirJudgements(bundles: readonly Bundle[]): Promise<Judgement[]> {
  const given = bundles.map((bundle) => ({ ...bundle, receipt: encoded(bundle.receipt) }))
  return JSON.parse(await python('verify_receipt.py', given))
}

/** One way to spoil a bundle. */
export interface Spoiled {
  what: string
  bundle: Bundle
}

/** Every value in the bundle changed a little, and every member and item left out, one at a time. */
export function* spoil(bundle: Bundle): Generator<Spoiled> {
  for (const path of pathsOf(bundle)) {
    const what = path.join('.')
    for (const [how, change] of changesOf(valueAt(bundle, path)))
      yield { what: `${what} ${how}`, bundle: changed(bundle, path, change) }
    if (!NEEDED.has(what))
      yield { what: `${what} left out`, bundle: changed(bundle, path, undefined) }
  }
}

/** Without these it is no bundle. */
const NEEDED = new Set([
  'challenge.answer',
  'challenge.nonce',
  'document',
  'now_ms',
  'policy',
  'receipt',
])

type Path = (string | number)[]

function* pathsOf(value: unknown, at: Path = []): Generator<Path> {
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) {
    const path = [...at, Array.isArray(value) ? Number(name) : name]
    yield path
    yield* pathsOf(inner, path)
  }
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce((inner, step) => (inner as Record<string | number, unknown>)[step], value)

function changed(bundle: Bundle, path: Path, value: unknown): Bundle {
  const copy = structuredClone(bundle)
  const parent = valueAt(copy, path.slice(0, -1)) as Record<string | number, unknown>
  const last = path.at(-1)!
  if (value !== undefined) parent[last] = value
  else if (Array.isArray(parent)) parent.splice(last as number, 1)
  else delete parent[last]
  return copy
}

function* changesOf(value: unknown): Generator<[string, unknown]> {
  if (typeof value === 'number')
    yield* [['greater', value + 1] as const, ['less', value - 1] as const].map(
      ([how, n]) => [how, n] as [string, unknown],
    )
  else if (typeof value === 'boolean') yield ['turned', !value]
  else if (typeof value === 'string') {
    const middle = value.length >> 1
    for (const at of new Set([0, middle, value.length - 1])) {
      if (value === '') continue
      const other = value[at] === '1' ? '2' : '1'
      yield [`with another character at ${at}`, value.slice(0, at) + other + value.slice(at + 1)]
    }
    yield ['with a character more', `${value}0`]
  } else if (Array.isArray(value)) {
    if (value.length > 0) yield ['with its first twice', [value[0], ...value]]
    if (value.length > 1) yield ['turned round', value.toReversed()]
  } else if (typeof value === 'object' && value !== null)
    yield ['with a member more', { ...value, more: 0 }]
}
