// The research note's three modes on top of `ask`: write signatures of a capability, update the meters, read them.
import { check, fromUtf8, name, parseReading, type Reading, SealedError } from '@sealed/protocol'
import { type Answer, type AskOptions, ask } from './ask.ts'
import { type Authority, instruct, instructUpdate } from './authority.ts'

export type OperationOptions = Omit<AskOptions, 'instructions'>
/** How a machine is asked: `ask` asks only one that was verified. */
export type Send = (options: AskOptions) => Promise<Answer>

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
  send: Send = ask,
): Promise<Answer> => {
  const { authority, capability, polarity = 'positive', ...request } = options
  const action = { type: 'write', capability: checkCapability(capability), polarity } as const
  return send({ ...request, instructions: instruct(authority, action) })
}

/** Asks the workload and says explicitly that the meters are to move, as they do when nothing is said. */
export const update = (options: OperationOptions, send: Send = ask): Promise<Answer> =>
  send({ ...options, instructions: instructUpdate })

/** Reads the authority's meters with their coverage and the openings of its changes. Throws `response.invalid` for an answer that is no reading. */
export async function read(
  options: Omit<OperationOptions, 'body'> & {
    authority: Authority
    /** `next` of an earlier reading: this one's openings go on from there. */
    after?: number
  },
  send: Send = ask,
): Promise<Answer & { reading: Reading }> {
  const { after, authority, ...request } = options
  const instructions = instruct(authority, { ...(after !== undefined && { after }), type: 'read' })
  const answer = await send({ ...request, body: new Uint8Array(0), instructions })
  const reading = readingOf(answer.output)
  if (reading.authority !== authority.id)
    throw new SealedError('response.invalid', `the reading is for authority ${reading.authority}`)
  return { ...answer, reading }
}

function readingOf(output: Uint8Array): Reading {
  try {
    return parseReading(fromUtf8(output))
  } catch (cause) {
    const why = cause instanceof SealedError ? cause.message : 'malformed'
    throw new SealedError('response.invalid', `the answer is no reading: ${why}`, { cause })
  }
}
