// The embassy's public side over its socket for the gateway. What it answers is passed on unread but for its status.
import {
  check,
  fromUtf8,
  MAX_NOTE_CHARS,
  MAX_PROOF_CHARS,
  overviewSchema,
  readRpcError,
  SealedError,
  statusSchema,
} from '@sealed/protocol'
import type { EmbassyClient } from '../deps.ts'
import { readAll, type UnixClient, UnixFailure } from './unix-client.ts'

/** Bounds of what the embassy may answer, in bytes. */
const MAX_DOCUMENT = 2 * 1024 * 1024
const MAX_RECEIPT = 65_536
const MAX_JSON = 256 * 1024
const MAX_PROOF = 2 * MAX_PROOF_CHARS
const MAX_LOG_PART = 2 * MAX_NOTE_CHARS

export function embassyClient(unix: UnixClient): EmbassyClient {
  /** The answer's body; undefined for 404. */
  async function get(path: string, max: number, signal?: AbortSignal) {
    try {
      const answer = await unix.get(path, signal)
      if (answer.status === 200) return await readAll(answer.body, max, signal)
      const failure = readRpcError(await readAll(answer.body, MAX_JSON, signal))
      if (answer.status === 404) return undefined
      throw failure
    } catch (error) {
      if (!(error instanceof UnixFailure)) throw error
      throw unavailable(error)
    }
  }
  async function getSome(path: string, max: number, signal?: AbortSignal) {
    const body = await get(path, max, signal)
    if (body) return body
    throw new SealedError('internal.error', 'the embassy does not know what it must know')
  }
  return {
    attestation: (nonce, signal) =>
      getSome(
        nonce === undefined ? '/attestation' : `/attestation?nonce=${nonce}`,
        MAX_DOCUMENT,
        signal,
      ),
    document: (digest, signal) => get(`/attestation/${digest}`, MAX_DOCUMENT, signal),
    async receipt(id, signal) {
      const body = await get(`/receipts/${id}`, MAX_RECEIPT, signal)
      return body && fromUtf8(body)
    },
    async proof(id, signal) {
      const body = await get(`/receipts/${id}/proof`, MAX_PROOF, signal)
      return body && fromUtf8(body)
    },
    log: (origin, resource, signal) => get(`/log/${origin}/${resource}`, MAX_LOG_PART, signal),
    async status() {
      const body = JSON.parse(fromUtf8(await getSome('/status', MAX_JSON)))
      return check(statusSchema, body, 'status', 'internal.error')
    },
    async overview(signal) {
      const body = JSON.parse(fromUtf8(await getSome('/overview', MAX_JSON, signal)))
      return check(overviewSchema, body, 'overview', 'internal.error')
    },
  }
}

const unavailable = (cause: unknown) =>
  new SealedError('embassy.unavailable', 'the embassy does not answer; it may be starting', {
    cause,
  })
