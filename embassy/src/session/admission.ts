// Admission: everything that can be refused before anything is sealed or revealed, cheapest check first. Nothing here
// leaves a trace on disk.
import {
  canonicalize,
  type Expect,
  fromBase64url,
  fromHex,
  ISSUED_WINDOW_MS,
  type OpenRequest,
  openInstructions,
  parseHeader,
  randomBytes,
  readInstructions,
  SealedError,
  sessionSalt,
  splitKey,
  toHex,
  unwrapInputKeys,
  type Workload,
} from '@sealed/protocol'
import { contentDigest, saltedDigest, sha256Hex } from '../digests.ts'
import type { TransportKeys } from '../keys/transport-keys.ts'
import type { Steps } from '../steps.ts'
import type { Nonces } from './nonces.ts'
import { replayed } from './refusals.ts'
import { newSessionId, Session } from './session.ts'

/** One workload as configured and measured. */
export interface MeasuredWorkload {
  config: Workload
  /** SHA-256 of the workload file's bytes. */
  digest: string
}

export interface AdmissionDeps {
  workloads: ReadonlyMap<string, MeasuredWorkload>
  authorities: ReadonlyMap<string, Uint8Array>
  transportKeys: TransportKeys
  keySetDigest: Uint8Array
  metering: 'required' | 'optional'
  nonces: Nonces
  /** Whether a caller without an API key is served at all. */
  open: boolean
  /** Times the steps that the embassy itself does not. */
  steps?: Steps
}

/** Checks a request and makes its session; throws `envelope.*`, `instructions.*`, `workload.unknown` and the like. */
export async function admit(request: OpenRequest, deps: AdmissionDeps): Promise<Session> {
  return request.door === 'plain' ? admitPlain(request, deps) : admitEnvelope(request, deps)
}

async function admitPlain(
  request: Extract<OpenRequest, { door: 'plain' }>,
  deps: AdmissionDeps,
): Promise<Session> {
  if (request.caller === '' && !deps.open) throw unauthorized()
  const workload = lookUp(deps, request.workload, request.endpoint)
  if (workload.config.seal_policy === 'permanent')
    throw new SealedError(
      'request.unsupported',
      `each replica of ${request.workload} is one client’s, told by a secret in its envelopes: send an envelope to /v1/sealed`,
      { param: 'model' },
    )
  const salt = randomBytes(32)
  return new Session({
    id: request.session,
    caller: request.caller,
    workload: request.workload,
    endpoint: request.endpoint,
    door: { kind: 'plain' },
    action: { type: 'update' },
    authority: undefined,
    nonce: undefined,
    inputBytes: request.input_bytes ?? 0,
    salt,
    received: {
      type: 'request.received',
      caller: callerDigest(salt, request.caller),
      door: 'plain',
      endpoint: request.endpoint,
      input_digest: contentDigest(salt, fromHex(request.input_sha256)),
      ...(request.nonce !== undefined && { nonce: request.nonce }),
      operation: 'update',
      workload: request.workload,
      workload_digest: workload.digest,
    },
  })
}

async function admitEnvelope(
  request: Extract<OpenRequest, { door: 'envelope' }>,
  deps: AdmissionDeps,
): Promise<Session> {
  const headerBytes = fromBase64url(request.header)
  const { header, headerDigest } = await parseHeader(headerBytes)
  const transport = deps.transportKeys.byId(header.key_id)
  if (Math.abs(Date.now() - header.issued_ms) > ISSUED_WINDOW_MS)
    throw new SealedError(
      'envelope.expired',
      `issued_ms is more than ${ISSUED_WINDOW_MS / 1000} s from this machine’s clock: check the clock and make a new envelope`,
      { param: 'issued_ms' },
    )
  const workload = lookUp(deps, header.workload, header.endpoint)
  checkExpect(header.expect, workload, deps)
  const instructionsDigest = sha256Hex(request.instructions)
  if (
    request.input_digest !== header.input_digest ||
    instructionsDigest !== header.instructions_digest
  )
    throw new SealedError(
      'envelope.digest_mismatch',
      'input or instructions are not those that the header names',
    )
  if (await deps.nonces.has(header.nonce)) throw replayed()
  const parsed = { envelope: request, headerDigest }
  const [secrets, text] = await Promise.all([
    unwrapInputKeys(transport.key, parsed),
    openInstructions(transport.key, parsed),
  ])
  const asked = { audience: header.key_id, inputDigest: header.input_digest, nonce: header.nonce }
  const { action, authority } = await readInstructions(text, asked, deps.authorities)
  if (request.caller === '' && !deps.open && authority === undefined) throw unauthorized()
  const { responseSecret, inputKey, tenantSecret } = secrets
  const salt = await sessionSalt({ responseSecret, headerDigest })
  return new Session({
    id: newSessionId(),
    caller: request.caller || (authority ?? ''),
    workload: header.workload,
    endpoint: header.endpoint,
    door: { kind: 'envelope', header, inputKey, responseSecret },
    action,
    authority,
    nonce: header.nonce,
    ...(workload.config.seal_policy === 'permanent' && { tenant: sha256Hex(tenantSecret) }),
    inputBytes: request.input_bytes ?? 0,
    salt,
    received: {
      type: 'request.received',
      caller: callerDigest(salt, request.caller),
      door: 'envelope',
      endpoint: header.endpoint,
      expect: header.expect,
      header_digest: toHex(headerDigest),
      nonce: header.nonce,
      operation: action.type,
      transport_key: header.key_id,
      workload: header.workload,
      workload_digest: workload.digest,
    },
  })
}

/** The signing half of the input key: all that the relay needs to authenticate the input. */
export const signingHalf = (inputKey: Uint8Array): Uint8Array => splitKey(inputKey).signing
export const encryptionHalf = (inputKey: Uint8Array): Uint8Array => splitKey(inputKey).encryption

function lookUp(deps: AdmissionDeps, name: string, endpoint: string): MeasuredWorkload {
  const workload = deps.workloads.get(name)
  if (!workload)
    throw new SealedError(
      'workload.unknown',
      `no workload ${name} here: ${[...deps.workloads.keys()].join(', ')}`,
      { param: 'workload' },
    )
  if (!workload.config.endpoints.includes(endpoint))
    throw new SealedError(
      'endpoint.unknown',
      `workload ${name} offers ${workload.config.endpoints.join(', ')}`,
      { param: 'endpoint' },
    )
  return workload
}

function checkExpect(expect: Expect, workload: MeasuredWorkload, deps: AdmissionDeps): void {
  const actual: Expect = {
    key_set: toHex(deps.keySetDigest),
    metering: deps.metering,
    seal_policy: workload.config.seal_policy,
    workload: workload.digest,
  }
  if (canonicalize(expect) === canonicalize(actual)) return
  const differing = (Object.keys(actual) as (keyof Expect)[]).filter(
    (member) => expect[member] !== actual[member],
  )
  throw new SealedError(
    'envelope.expect_mismatch',
    `this embassy does not have the expected ${differing.join(', ')}: fetch the attestation again`,
    { param: `expect.${differing[0]}` },
  )
}

const callerDigest = (salt: Uint8Array, caller: string): string =>
  saltedDigest(salt, `caller\0${caller}`)

const unauthorized = () =>
  new SealedError(
    'request.unauthorized',
    'neither an API key nor an authority’s signature: send Authorization: Bearer …',
  )
