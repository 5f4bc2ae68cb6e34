// The envelope door of the VM. An envelope goes there only while the machine that it names is the one that verified, and
// only as it came; the answer comes back unread. Nothing here could open either.
import { ENVELOPE_TYPE, RESPONSE_TYPE, SealedError, type SessionFailure } from '@sealed/protocol'
import type { PassedOn, RelayClient } from '../deps.ts'
import { edgeAttestation, RATE_HEADERS } from './headers.ts'
import type { Machine } from './machine.ts'
import { failureOf, type Origin, OriginFailure } from './origin.ts'

const RECEIPT_ID = /^[0-9a-f]{32}$/

export function relayClient(origin: Origin, machine: Machine): RelayClient {
  return {
    async sealed({ envelope, from, header, signal }) {
      const checked = await machine.checkedFor(header.expect.key_set)
      return forwarding(machine, async () => {
        const response = await origin.request({
          method: 'POST',
          path: '/v1/sealed',
          headers: { ...passedOn(from), 'content-type': ENVELOPE_TYPE, accept: RESPONSE_TYPE },
          body: envelope,
          signal,
        })
        const { body, headers } = response
        const receiptId = headers.get('sealed-receipt-id') ?? ''
        const sealed = response.status === 200 && headers.get('content-type') === RESPONSE_TYPE
        if (!sealed || !RECEIPT_ID.test(receiptId) || !body) throw await refusalOf(response, signal)
        return {
          receiptId,
          body: body.getReader(),
          headers: { ...taken(headers, RATE_HEADERS), ...edgeAttestation(checked) },
        }
      })
    },
    async plain() {
      throw new SealedError('request.unsupported', 'the plain door is not served by this client')
    },
  }
}

/** What the VM needs of a request to judge it: the caller's key, and the id under which both log it. */
export const passedOn = ({ authorization, requestId }: PassedOn): Record<string, string> => ({
  'x-request-id': requestId,
  ...(authorization !== undefined && { authorization }),
})

/** The headers of these names. */
export const taken = (headers: Headers, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    names.flatMap((name) => {
      const value = headers.get(name)
      return value === null ? [] : [[name, value]]
    }),
  )

/** The VM's own error, or one that no SDK takes as an invitation to send again. */
export async function refusalOf(
  response: Response,
  signal: AbortSignal,
): Promise<SessionFailure | OriginFailure> {
  const failure = response.status === 200 ? undefined : await failureOf(response, signal)
  if (failure) return failure
  await response.body?.cancel().catch(() => {})
  return new OriginFailure(`something answered ${response.status} for the machine behind this edge`)
}

/**
 * Runs a call that may have consequences. A Worker cannot tell a request that never left from one whose answer was
 * lost, so both are said to be lost, and the machine is looked at again before the next one.
 */
export async function forwarding<T>(machine: Machine, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof OriginFailure)) throw error
    machine.doubt()
    throw new SealedError(
      'session.aborted',
      `${error.message}; whether the workload saw the input, its receipt will say`,
      { cause: error },
    )
  }
}
