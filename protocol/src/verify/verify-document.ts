// Verifies an attestation document: that a TPM which the policy trusts vouches for these keys and this configuration.
import type { AttestationAnswer, AttestationDocument, TeeReport } from '../attestation.ts'
import {
  attestationDocumentSchema,
  challengeSchema,
  documentDigest,
  pcrMap,
} from '../attestation.ts'
import { type Bytes, equal, fromBase64url, fromHex, sha256 } from '../bytes.ts'
import { authorityId } from '../instructions.ts'
import { canonicalBytes } from '../json.ts'
import { CONFIGURATION_PCR, KEY_SET_PCR, keySetDigest, transportKeyIsSigned } from '../key-set.ts'
import { isLaunchValue, LAUNCH_PCR, launchMisfit } from '../launch.ts'
import { leafHash, rootFromPath } from '../merkle.ts'
import type { Policy } from '../policy.ts'
import { type AttestationPublicKey, extendedOnce, importAttestationKey } from '../quote.ts'
import { check } from '../schema.ts'
import { notSealed } from '../unsealed.ts'
import { type AkChain, checkAkChain } from './ak-chain.ts'
import { type Checks, ensure, needs, Refusal, Skip } from './checks.ts'
import type { GceFirmware } from './gce-firmware.ts'
import { acceptInstance, type GceInstance, parseGceInstance } from './gce-instance.ts'
import { checkMeasuredBoot } from './measured-boot.ts'
import { openAttest, quoteBound, quoteOf, quoteSelection, quoteSignature } from './quote-checks.ts'
import { checkTee } from './tee-checks.ts'

/** What later checks take from a document; a member is absent when the check that makes it failed. */
export interface DocumentFacts {
  document: AttestationDocument
  digest: string
  k: Bytes
  pcrs: Map<number, Bytes>
  ak?: AttestationPublicKey
  claims: MachineClaims
}

/** What evidence says of the machine; each member is set by the check that found it. */
export interface MachineClaims {
  /** Where it runs, as the certificate of its attestation key says. */
  instance?: GceInstance
  /** What GCE's firmware says of the machine; never proof of its processor. */
  firmware?: GceFirmware
  /** The image booted, as the policy names it. */
  image?: { name: string; version: string }
  /** The processor's report, and the measurement of what was launched. */
  tee?: { kind: TeeReport['kind']; measurement: string }
}

export interface DocumentInput {
  document: AttestationDocument
  /** The nonce sent and the challenge that came back with the document, where freshness is asked for. */
  challenge?: { nonce: Uint8Array; answer: NonNullable<AttestationAnswer['challenge']> }
}

/**
 * Runs every check of a document and records each in `checks`. The document may come from anywhere, parsed or not: one
 * that is malformed fails its first check, the others are skipped, and nothing is returned.
 */
export async function checkDocument(
  checks: Checks,
  input: DocumentInput,
  policy: Policy,
  now: number,
): Promise<DocumentFacts | undefined> {
  const facts = await openDocument(checks, input)
  if (!facts) {
    checks.skipRest('document', 'needs the attestation document')
    return undefined
  }
  const { document } = facts
  await checks.run('document.ak', true, async () => {
    const { unsealed } = document.configuration
    if (unsealed !== undefined) throw new Refusal(notSealed(unsealed))
    facts.ak = await importAttestationKey(fromBase64url(document.ak!.public))
    return `${facts.ak.algorithm}, restricted signing key`
  })
  let chain: AkChain | undefined
  await checks.run('document.ak_chain', true, async () => {
    const ak = needs(facts.ak, 'the attestation key')
    const der = document.ak!.chain.map(fromBase64url)
    chain = await checkAkChain(der, ak, policy.ak_roots, now)
    return chain.summary
  })
  await checks.run('document.instance', policy.instances !== undefined, () =>
    checkInstance(facts, needs(chain, 'the certificate chain'), policy),
  )
  await checks.run('document.quote_signature', true, () =>
    quoteSignature(quoteOf(document), needs(facts.ak, 'the attestation key')),
  )
  await checks.run('document.quote_selection', true, () =>
    quoteSelection(quoteOf(document), facts.pcrs),
  )
  await checks.run('document.quote_binding', true, async () => {
    const report = document.tee_report
      ? fromBase64url(document.tee_report.report)
      : new Uint8Array(0)
    return quoteBound(quoteOf(document), 'keys', facts.k, await sha256(report))
  })
  await checks.run('document.pcr_key_set', true, async () => {
    ensure(
      await isOnlyMeasurement(facts, KEY_SET_PCR, facts.k),
      `PCR ${KEY_SET_PCR} is not the key set, extended once`,
    )
    return `PCR ${KEY_SET_PCR}`
  })
  await checks.run('document.pcr_configuration', true, async () => {
    const measured = await sha256(canonicalBytes(document.configuration))
    const only = await isOnlyMeasurement(facts, CONFIGURATION_PCR, measured)
    ensure(only, `PCR ${CONFIGURATION_PCR} is not the configuration, extended once`)
    return `PCR ${CONFIGURATION_PCR}`
  })
  await checks.run('document.pcr_launch', true, () => checkLaunch(facts))
  await checkMeasuredBoot(checks, facts, policy)
  await checkTee(checks, facts, policy, now)
  await checks.run('document.transport_keys', true, async () => {
    for (const key of document.transport_keys)
      ensure(
        await transportKeyIsSigned(key, document.key_set),
        `transport key ${key.id} is not signed by the ledger key`,
      )
    return `${document.transport_keys.length} signed by the ledger key`
  })
  await checks.run('document.configuration', true, () => acceptConfiguration(document, policy))
  await checks.run('document.challenge', false, () => checkChallenge(facts, input))
  return facts
}

async function openDocument(
  checks: Checks,
  input: DocumentInput,
): Promise<DocumentFacts | undefined> {
  let facts: DocumentFacts | undefined
  await checks.run('document.form', true, async () => {
    const document = check(
      attestationDocumentSchema,
      input.document,
      'attestation document',
      'evidence.invalid',
    )
    const pcrs = pcrMap(document)
    ensure(pcrs.size === document.pcrs.length, 'a PCR index stands twice')
    const digest = await documentDigest(document)
    facts = { document, digest, k: await keySetDigest(document.key_set), pcrs, claims: {} }
    return `${document.pcrs.length} PCR values`
  })
  return facts
}

async function isOnlyMeasurement(
  facts: DocumentFacts,
  index: number,
  measured: Uint8Array,
): Promise<boolean> {
  const value = facts.pcrs.get(index)
  return value !== undefined && equal(value, await extendedOnce(measured))
}

/** Nothing but the launch that the document tells of was measured there, and it led to the configuration. */
async function checkLaunch({ document, pcrs }: DocumentFacts): Promise<string> {
  const { configuration, launch } = document
  const value = pcrs.get(LAUNCH_PCR)
  ensure(
    value !== undefined && (await isLaunchValue(value, launch)),
    launch
      ? `PCR ${LAUNCH_PCR} is not the launch, extended once and then closed`
      : `PCR ${LAUNCH_PCR} is not zero, and the document tells of no launch`,
  )
  if (!launch) return `PCR ${LAUNCH_PCR} is zero: the machine's own files name the workload`
  const misfit = launchMisfit(launch, configuration)
  ensure(misfit === undefined, misfit ?? '')
  return `PCR ${LAUNCH_PCR}, launched from ${launch.image.reference}`
}

function checkInstance(facts: DocumentFacts, chain: AkChain, policy: Policy): string {
  const instance = chain.gceInstance && parseGceInstance(chain.gceInstance)
  if (policy.instances) acceptInstance(instance, policy.instances)
  if (!instance) throw new Skip('the certificate does not say where the machine runs')
  facts.claims.instance = instance
  return `${instance.name} of ${instance.project} in ${instance.zone}`
}

async function acceptConfiguration(document: AttestationDocument, policy: Policy): Promise<string> {
  const { authorities, metering, unsealed, workloads } = document.configuration
  if (unsealed !== undefined) throw new Refusal(notSealed(unsealed))
  ensure(workloads.length > 0, 'no workload is configured')
  const names = new Set(workloads.map(({ name }) => name))
  ensure(names.size === workloads.length, 'two workloads have one name')
  for (const workload of workloads) {
    ensure(
      policy.workloads.includes(workload.digest),
      `workload ${workload.digest} is not in the policy`,
    )
    ensure(
      policy.seal_policies.includes(workload.seal_policy),
      `seal policy ${workload.seal_policy} is not in the policy`,
    )
  }
  // Who is asked for by an id must be who signs under it.
  for (const { id, public_key } of authorities)
    ensure(
      (await authorityId(fromBase64url(public_key))) === id,
      `authority ${id} has another one’s key`,
    )
  for (const id of policy.authorities)
    ensure(
      authorities.some((authority) => authority.id === id),
      `authority ${id} is missing`,
    )
  ensure(policy.metering === 'optional' || metering === 'required', 'metering is optional there')
  return workloads.map(({ name }) => name).join(', ')
}

async function checkChallenge(facts: DocumentFacts, { challenge }: DocumentInput): Promise<string> {
  if (!challenge) throw new Skip('no nonce was sent with the request for the document')
  const { nonce } = challenge
  const answer = check(challengeSchema, challenge.answer, 'challenge', 'evidence.invalid')
  const leaf = await leafHash(nonce)
  const root = await rootFromPath(
    leaf,
    answer.index,
    answer.size,
    answer.path.map((hash) => fromHex(hash)),
  )
  ensure(root !== undefined, 'the path from nonce to quote has the wrong length')
  await quoteSignature(answer.quote, needs(facts.ak, 'the attestation key'))
  await quoteSelection(answer.quote, facts.pcrs)
  const [then, now] = [quoteOf(facts.document), answer.quote].map(openAttest)
  ensure(
    now!.resetCount === then!.resetCount && now!.restartCount === then!.restartCount,
    'the machine was started anew, or resumed, since the document was made',
  )
  return quoteBound(answer.quote, 'challenge', facts.k, root)
}
