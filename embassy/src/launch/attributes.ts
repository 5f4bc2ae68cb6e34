// The instance's attributes `sealed-*`: what an operator asks for. All others are left to whom they concern; one of ours
// that is not known is refused, for a misspelt limit would be none.
import {
  check,
  imageReference,
  type Json,
  type Operator,
  operatorSchema,
  parseStrict,
  SealedError,
  sha256Hex,
  text,
  utf8,
} from '@sealed/protocol'
import * as v from 'valibot'

const NAMES = [
  'sealed-command',
  'sealed-deployment',
  'sealed-env',
  'sealed-image',
  'sealed-workload',
] as const
type Name = (typeof NAMES)[number]

/** What GCE allows as an attribute's name, and what a workload's file allows as a variable's. */
const ATTRIBUTE = /^[A-Za-z0-9_-]{1,128}$/
const VARIABLE = /^[A-Z][A-Z0-9_]{0,63}$/
/** Members of a workload file that have an attribute of their own, or follow from one. */
const ELSEWHERE = ['command', 'env', 'image']

export interface Attributes {
  /** REGISTRY/REPOSITORY@sha256:DIGEST. */
  reference: string
  command: string[] | undefined
  env: { name: string; value: string }[]
  /** The other members of the workload file, not judged yet. */
  workload: { [name: string]: Json }
  operator: Operator
  /** Ours as they were read, by name. */
  read: { digest: string; name: string }[]
}

/** Reads the metadata server's answer; throws `config.invalid` or `json.invalid` naming the attribute at fault. */
export async function parseAttributes(answer: string): Promise<Attributes> {
  const ours = new Map<Name, string>()
  const all = parseStrict(answer, ATTRIBUTE)
  for (const [name, value] of Object.entries(record(all, 'the instance’s attributes'))) {
    if (!/^sealed[-_]/i.test(name)) continue
    const known = NAMES.find((each) => each === name)
    if (!known) throw invalid(`attribute ${name} is not known; those that are: ${NAMES.join(', ')}`)
    if (typeof value !== 'string') throw invalid(`attribute ${name} is no text`)
    ours.set(known, value)
  }
  const needed = (name: Name): string => {
    const value = ours.get(name)
    if (value === undefined) throw invalid(`attribute ${name} is missing`)
    return value
  }
  const reference = check(
    imageReference,
    needed('sealed-image').trim(),
    'attribute sealed-image',
    'config.invalid',
  )
  const workload = record(
    parsed('sealed-workload', needed('sealed-workload')),
    'attribute sealed-workload',
  )
  const misplaced = ELSEWHERE.find((member) => member in workload)
  if (misplaced !== undefined)
    throw invalid(
      `attribute sealed-workload: ${misplaced} has an attribute of its own, sealed-${misplaced}`,
    )
  const read = [...ours].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    reference,
    command: commandOf(ours.get('sealed-command')),
    env: envOf(ours.get('sealed-env')),
    workload,
    operator: check(
      operatorSchema,
      parsed('sealed-deployment', needed('sealed-deployment')),
      'attribute sealed-deployment',
      'config.invalid',
    ),
    read: await Promise.all(
      read.map(async ([name, value]) => ({ digest: await sha256Hex(utf8(value)), name })),
    ),
  }
}

function commandOf(value: string | undefined): string[] | undefined {
  if (value === undefined) return undefined
  const words = v.pipe(v.array(text(4096)), v.minLength(1), v.maxLength(64))
  const given = parsed('sealed-command', value)
  return check(words, given, 'attribute sealed-command', 'config.invalid')
}

function envOf(value: string | undefined): { name: string; value: string }[] {
  if (value === undefined) return []
  const given = record(parsed('sealed-env', value, VARIABLE), 'attribute sealed-env')
  const values = check(
    v.record(v.string(), text(4096)),
    given,
    'attribute sealed-env',
    'config.invalid',
  )
  return Object.keys(values)
    .sort()
    .map((name) => ({ name, value: values[name]! }))
}

function parsed(name: Name, value: string, names?: RegExp): Json {
  try {
    return parseStrict(value, names)
  } catch (error) {
    if (!(error instanceof SealedError)) throw error
    throw new SealedError(error.code, `attribute ${name}: ${error.message}`, { cause: error })
  }
}

function record(value: Json, what: string): { [name: string]: Json } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${what}: must be a JSON object`)
  return value
}

const invalid = (message: string) => new SealedError('config.invalid', message)
