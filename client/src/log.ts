// A gateway's transparency log: fetched over HTTP, judged by protocol. What a gateway says of its log counts for nothing
// until it is held against a checkpoint that an attested key signed, or against one that was kept.
import {
  type Audit,
  auditLog,
  fromBase64url,
  fromHex,
  fromUtf8,
  type LogSource,
  logOrigin,
  MAX_NOTE_CHARS,
  MAX_PROOF_CHARS,
  MAX_TILE_BYTES,
  openTodaysCheckpoint,
  SealedError,
  type TodaysLog,
} from '@sealed/protocol'
import type { Attested } from './attest.ts'
import type { Gateway } from './gateway.ts'

/** Notes are bounded in characters; names may take three bytes each. */
const MAX_NOTE_BYTES = 3 * MAX_NOTE_CHARS
const MAX_BOOT_BYTES = 4_096

/** Reads logs from a gateway. What is not there is `log.damaged`: a log that was once served must be kept. */
export function logSource(gateway: Gateway, signal?: AbortSignal): LogSource {
  const get = async (origin: string, resource: string, max: number) => {
    const path = `/log/${origin.replace(/^sealed\//, '')}/${resource}`
    try {
      return await gateway.get(path, max, signal)
    } catch (cause) {
      if (!(cause instanceof SealedError) || cause.code !== 'request.not_found') throw cause
      throw new SealedError('log.damaged', `${gateway.url}${path} is not there`, { cause })
    }
  }
  return {
    checkpoint: async (origin) => fromUtf8(await get(origin, 'checkpoint', MAX_NOTE_BYTES)),
    boot: (origin) => get(origin, 'boot', MAX_BOOT_BYTES),
    tile: (origin, path) => get(origin, path, MAX_TILE_BYTES),
  }
}

const todaysLog = ({ document, keySetDigest }: Attested): TodaysLog => ({
  origin: logOrigin(fromHex(keySetDigest)),
  ledgerKey: fromBase64url(document.key_set.ledger_key),
})

/** The newest checkpoint of an attested machine's log, and which of the policy's witnesses have cosigned it. */
export const fetchCheckpoint = (attested: Attested, signal?: AbortSignal) =>
  openTodaysCheckpoint(
    logSource(attested.gateway, signal),
    todaysLog(attested),
    attested.policy.witnesses?.keys,
  )

/**
 * Proves that an attested machine's log is what a checkpoint, kept earlier, has grown into. Throws `log.fork` or
 * `log.damaged` with where it is not.
 */
export const audit = (attested: Attested, saved: string, signal?: AbortSignal): Promise<Audit> =>
  auditLog(
    logSource(attested.gateway, signal),
    saved,
    todaysLog(attested),
    attested.policy.witnesses?.keys,
  )

/** C2SP tlog-proof of the receipt with this id; evidence to be verified with it. */
export async function fetchProof(
  gateway: Gateway,
  id: string,
  signal?: AbortSignal,
): Promise<string> {
  if (!/^[0-9a-f]{32}$/.test(id))
    throw new SealedError('request.invalid', 'a receipt id is 16 bytes of lower-case hex')
  return fromUtf8(await gateway.get(`/v1/receipts/${id}/proof`, 3 * MAX_PROOF_CHARS, signal))
}
