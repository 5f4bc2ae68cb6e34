// A policy drawn from one attestation document, for a person to review: every value that the document states, as the
// only one accepted. It judges nothing, and a machine that lies has a policy drawn that fits its lies.
import type { AttestationDocument, TeeReport } from '../attestation.ts'
import { fromBase64url, sha256Hex, toHex } from '../bytes.ts'
import { SealedError } from '../errors.ts'
import { parseEventLog } from '../event-log.ts'
import { CONFIGURATION_PCR, KEY_SET_PCR } from '../key-set.ts'
import { LAUNCH_PCR } from '../launch.ts'
import type { Image, Policy } from '../policy.ts'
import { AMD_ARK_ROOTS, INTEL_SGX_ROOTS, type TeePolicy } from '../tee/policy.ts'
import { parseSnpReport } from '../tee/snp-report.ts'
import { parseTdxQuote } from '../tee/tdx-quote.ts'
import { notSealed } from '../unsealed.ts'
import { Refusal } from './checks.ts'
import { bootApplications } from './event-log-checks.ts'
import { verifyDocument } from './verify-receipt.ts'

/**
 * The draft. PCRs 8, 13 and 14 stand in no policy: they follow from configuration, launch and key set, and every verifier
 * computes them. `instances` is there where the certificate of the attestation key names zone and project.
 */
export async function draftPolicy(
  document: AttestationDocument,
  name: string,
  now = Date.now(),
): Promise<Policy> {
  const { ak, authorities, metering, unsealed, workloads } = {
    ...document,
    ...document.configuration,
  }
  if (unsealed !== undefined)
    throw new SealedError('evidence.invalid', `no policy can accept it: ${notSealed(unsealed)}`)
  const tee = document.tee_report && (await draftTee(document.tee_report))
  const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)]
  const policy: Policy = {
    ak_roots: await rootOf(ak?.chain ?? []),
    authorities: distinct(authorities.map(({ id }) => id)),
    evidence: [
      'tpm',
      ...(document.event_log === undefined ? [] : (['event-log'] as const)),
      ...(document.tee_report ? [document.tee_report.kind] : []),
    ],
    images: [await draftImage(document)],
    metering,
    name: name.slice(0, 64),
    seal_policies: distinct(workloads.map(({ seal_policy }) => seal_policy)),
    ...(tee && { tee }),
    version: 1,
    workloads: distinct(workloads.map(({ digest }) => digest)),
  }
  const { claims } = await verifyDocument({ document }, policy, now)
  const place = claims.instance
  if (place) policy.instances = { projects: [place.project], zones: [place.zone] }
  return policy
}

async function rootOf(chain: readonly string[]): Promise<string[]> {
  const root = chain.at(-1)
  if (root === undefined)
    throw new SealedError('evidence.invalid', 'the document has no certificate of its key')
  return [await sha256Hex(fromBase64url(root))]
}

async function draftImage({ event_log, pcrs, started_ms }: AttestationDocument): Promise<Image> {
  const uki = event_log === undefined ? [] : await applications(event_log)
  return {
    name: 'as seen',
    pcrs: pcrs
      .filter(({ index }) => ![CONFIGURATION_PCR, LAUNCH_PCR, KEY_SET_PCR].includes(index))
      .map(({ digest, index }) => ({ digests: [digest], index })),
    ...(uki.length > 0 && { uki }),
    version: new Date(started_ms).toISOString(),
  }
}

/** The EFI applications of a log that can be read; of another it is for the verifier to say what is wrong. */
async function applications(encoded: string): Promise<string[]> {
  try {
    return bootApplications(await parseEventLog(fromBase64url(encoded)))
  } catch (error) {
    if (error instanceof SealedError || error instanceof Refusal) return []
    throw error
  }
}

async function draftTee({ certificates, kind, report }: TeeReport): Promise<TeePolicy> {
  const bytes = fromBase64url(report)
  if (kind === 'tdx') {
    const { body, chain } = parseTdxQuote(bytes)
    const roots = await unlessKnown(chain.at(-1), INTEL_SGX_ROOTS)
    const rtmrs = body.rtmrs.slice(0, 3).map((rtmr, index) => ({ digests: [toHex(rtmr)], index }))
    return {
      tdx: { mr_seam: [toHex(body.mrSeam)], mrtd: [toHex(body.mrTd)], ...roots, rtmrs },
    }
  }
  const { measurement, policy, reported } = parseSnpReport(bytes)
  const ark = certificates?.at(-1)
  const roots = await unlessKnown(ark === undefined ? undefined : fromBase64url(ark), AMD_ARK_ROOTS)
  return {
    snp: {
      allow_smt: policy.smt,
      measurements: [toHex(measurement)],
      min_tcb: reported,
      ...roots,
    },
  }
}

/** A maker's own root needs no naming. */
async function unlessKnown(
  root: Uint8Array | undefined,
  known: readonly string[],
): Promise<{ roots?: string[] }> {
  const digest = root && (await sha256Hex(root))
  return digest === undefined || known.includes(digest) ? {} : { roots: [digest] }
}
