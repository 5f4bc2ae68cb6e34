// The embassy's public side as the VM's gateway serves it. What it answers is passed on unread.
import {
  fromUtf8,
  MAX_NOTE_CHARS,
  MAX_PROOF_CHARS,
  overviewSchema,
  parseRpc,
  parseStrict,
  SealedError,
} from '@sealed/protocol'
import type { EmbassyClient } from '../deps.ts'
import type { Machine, Surroundings } from './machine.ts'
import { type Origin, OriginFailure, readBounded, reading } from './origin.ts'

/** Bounds of what the VM may answer, in bytes. */
const MAX_DOCUMENT = 2 * 1024 * 1024
const MAX_RECEIPT = 65_536
const MAX_HEALTH = 4_096
const MAX_OVERVIEW = 65_536
const MAX_PROOF = 2 * MAX_PROOF_CHARS
const MAX_LOG_PART = 2 * MAX_NOTE_CHARS
const STATUS_MS = 10_000

export function embassyClient(
  origin: Origin,
  machine: Machine,
  { keep }: Pick<Surroundings, 'keep'>,
): EmbassyClient {
  const get = (path: string, max: number, signal: AbortSignal) =>
    reading(() => origin.get(path, max, signal))
  const getText = async (path: string, max: number, signal: AbortSignal) => {
    const body = await get(path, max, signal)
    return body && fromUtf8(body)
  }
  return {
    async attestation(nonce, signal) {
      const query = nonce === undefined ? '' : `?nonce=${nonce}`
      const body = await get(`/v1/attestation${query}`, MAX_DOCUMENT, signal)
      if (body) return body
      throw new SealedError('embassy.unavailable', 'there is no attestation behind this edge')
    },
    document: (digest, signal) => get(`/v1/attestation/${digest}`, MAX_DOCUMENT, signal),
    receipt: (id, signal) => getText(`/v1/receipts/${id}`, MAX_RECEIPT, signal),
    proof: (id, signal) => getText(`/v1/receipts/${id}/proof`, MAX_PROOF, signal),
    log: (log, resource, signal) =>
      get(log === 'current' ? `/log/${resource}` : `/log/${log}/${resource}`, MAX_LOG_PART, signal),
    /** Ready only while the machine verifies; which workloads it has is asked there, with the caller's key. */
    status() {
      const status = reading(async () => {
        await machine.checked()
        return { ...(await health(origin)), workloads: [] }
      })
      // Several requests wait for this one; it must not end with the request that began it.
      keep(status.catch(() => {}))
      return status
    },
    async overview(signal) {
      const text = await getText('/v1/status', MAX_OVERVIEW, signal)
      if (text === undefined)
        throw new SealedError('embassy.unavailable', 'the machine behind this edge has no status')
      return parseRpc(overviewSchema, parseStrict(text), 'status')
    },
  }
}

async function health(origin: Origin): Promise<{ ready: boolean; reason: string }> {
  const signal = AbortSignal.timeout(STATUS_MS)
  try {
    const response = await origin.request({ method: 'GET', path: '/health', signal })
    const { ready, reason } = JSON.parse(fromUtf8(await readBounded(response, MAX_HEALTH, signal)))
    if (typeof ready === 'boolean' && typeof reason === 'string')
      return { ready, reason: reason.slice(0, 512) }
  } catch (cause) {
    if (cause instanceof OriginFailure) throw cause
    throw new OriginFailure('the machine behind this edge does not say how it is', cause)
  }
  throw new OriginFailure('the machine behind this edge does not say how it is')
}
