// The research note's three modes on top of `ask`: write signatures of a capability, update the meters, read them.
import {
  check,
  fromUtf8,
  name,
  parseCanonical,
  type Reading,
  readingSchema,
  SealedError,
} from '@sealed/protocol'
import { type Answer, type AskOptions, ask } from './ask.ts'
import { type Authority, instruct, instructUpdate } from './authority.ts'

export type OperationOptions = Omit<AskOptions, 'instructions'>

/** Checks a capability's name as it stands in instructions; throws `instructions.invalid`. */
export function checkCapability(capability: string): string {
  return check(name, capability, 'capability', 'instructions.invalid')
}

/** Drives the workload and has what is observed stored as signatures of the authority's capability. */
export const write = (
  options: OperationOptions & {
    authority: Authority
    capability: string
    polarity?: 'positive' | 'negative'
  },
): Promise<Answer> => {
  const { authority, capability, polarity = 'positive', ...request } = options
  const action = { type: 'write', capability: checkCapability(capability), polarity } as const
  return ask({ ...request, instructions: instruct(authority, action) })
}

/** Asks the workload and says explicitly that the meters are to move, as they do when nothing is said. */
export const update = (options: OperationOptions): Promise<Answer> =>
  ask({ ...options, instructions: instructUpdate })

/** Reads the authority's meters with their coverage. Throws `response.invalid` for an answer that is no reading. */
export async function read(
  options: Omit<OperationOptions, 'body'> & { authority: Authority },
): Promise<Answer & { reading: Reading }> {
  const { authority, ...request } = options
  const instructions = instruct(authority, { type: 'read' })
  const answer = await ask({ ...request, body: new Uint8Array(0), instructions })
  const reading = parseReading(answer.output)
  if (reading.authority !== authority.id)
    throw new SealedError('response.invalid', `the reading is for authority ${reading.authority}`)
  return { ...answer, reading }
}

function parseReading(output: Uint8Array): Reading {
  try {
    return check(readingSchema, parseCanonical(fromUtf8(output)), 'reading', 'response.invalid')
  } catch (cause) {
    const why = cause instanceof SealedError ? cause.message : 'malformed'
    throw new SealedError('response.invalid', `the answer is no reading: ${why}`, { cause })
  }
}
