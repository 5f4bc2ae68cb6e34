// pcr-policy.json: what the release says of an image's PCRs, signed for each security version that it may open.
// It lies beside the image and not in it, since it holds what the image measures to; nothing in it is believed before
// the TPM has checked its signature and its own PCRs. Pure.
import { fromHex, type Json, parseStrict, SealedError, toHex } from '@sealed/protocol'
import { MOST_SECURITY_VERSIONS, STATE_PCRS } from './policy.ts'

/** One set of PCR values that the image may leave: a variant of the machine, as with and without TDX. */
export interface Approval {
  readonly name: string
  readonly pcrs: ReadonlyMap<number, Uint8Array>
  /** ECDSA r ‖ s, 64 bytes, by security version. */
  readonly signatures: ReadonlyMap<number, Uint8Array>
}

const bad = (what: string) => new SealedError('config.invalid', `pcr-policy.json: ${what}`)

/** @throws SealedError `config.invalid` naming the member at fault */
export function parseApprovals(text: string): Approval[] {
  const file = object(parse(text), ['approvals', 'version'], 'the file')
  if (file.version !== 1) throw bad('version must be 1')
  return list(file.approvals, 1, 16, 'approvals').map((entry, i) => {
    const at = `approvals[${i}]`
    const row = object(entry, ['name', 'pcrs', 'signatures'], at)
    if (typeof row.name !== 'string' || !/^[a-z0-9][a-z0-9._-]{0,63}$/.test(row.name))
      throw bad(`${at}.name must be a name [a-z0-9][a-z0-9._-]*`)
    const pcrs = table(row.pcrs, 'index', 'digest', 32, [0, 23], `${at}.pcrs`)
    if (pcrs.size !== STATE_PCRS.length || STATE_PCRS.some((pcr) => !pcrs.has(pcr)))
      throw bad(`${at}.pcrs must name PCRs ${STATE_PCRS.join(', ')} and no other`)
    const versions: [number, number] = [1, MOST_SECURITY_VERSIONS]
    const where = `${at}.signatures`
    const signatures = table(row.signatures, 'security_version', 'signature', 64, versions, where)
    return { name: row.name, pcrs, signatures }
  })
}

export function writeApprovals(approvals: readonly Approval[]): string {
  const file = {
    approvals: approvals.map(({ name, pcrs, signatures }) => ({
      name,
      pcrs: [...pcrs].map(([index, value]) => ({ digest: toHex(value), index })),
      signatures: [...signatures].map(([version, signature]) => ({
        security_version: version,
        signature: toHex(signature),
      })),
    })),
    version: 1,
  }
  return `${JSON.stringify(file, null, 2)}\n`
}

/**
 * The approval of the PCRs as they are.
 * @throws SealedError `state.locked` telling, for the nearest one, which PCRs differ
 */
export function approvalOf(
  approvals: readonly Approval[],
  pcrs: ReadonlyMap<number, Uint8Array>,
): Approval {
  const differing = ({ pcrs: approved }: Approval) =>
    STATE_PCRS.filter((pcr) => hex(approved.get(pcr)) !== hex(pcrs.get(pcr)))
  const [nearest] = approvals.toSorted((a, b) => differing(a).length - differing(b).length)
  const differ = differing(nearest!)
  if (differ.length === 0) return nearest!
  const rows = differ.map(
    (pcr) => `PCR ${pcr} is ${hex(pcrs.get(pcr))}, approved ${hex(nearest!.pcrs.get(pcr))}`,
  )
  const late = differ.length === 1 && differ[0] === 14
  throw new SealedError(
    'state.locked',
    `this boot is not one that pcr-policy.json approves; nearest is ${nearest!.name}: ${rows.join('; ')}. ` +
      (late
        ? 'The embassy has started in this boot, and the key is given out before that only: restart the machine'
        : 'Boot an image with the pcr-policy.json of its release, through Secure Boot with its own keys'),
  )
}

const hex = (value: Uint8Array | undefined) => (value ? toHex(value) : 'absent')

function parse(text: string): Json {
  try {
    return parseStrict(text)
  } catch (error) {
    throw bad((error as Error).message)
  }
}

function object(value: Json | undefined, names: readonly string[], at: string) {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw bad(`${at} must be an object`)
  const odd = Object.keys(value).find((name) => !names.includes(name))
  if (odd) throw bad(`${at}.${odd} is not known`)
  const gap = names.find((name) => !(name in value))
  if (gap) throw bad(`${at}.${gap} is missing`)
  return value
}

function list(value: Json | undefined, least: number, most: number, at: string): Json[] {
  if (!Array.isArray(value) || value.length < least || value.length > most)
    throw bad(`${at} must be an array of ${least} to ${most}`)
  return value
}

/** An array of {number, bytes in hex}, each number once. */
function table(
  value: Json | undefined,
  key: string,
  content: string,
  length: number,
  [least, most]: readonly [number, number],
  at: string,
): Map<number, Uint8Array> {
  const out = new Map<number, Uint8Array>()
  for (const [i, entry] of list(value, 1, MOST_SECURITY_VERSIONS, at).entries()) {
    const row = object(entry, [key, content], `${at}[${i}]`)
    const number = row[key]
    if (typeof number !== 'number' || number < least || number > most || out.has(number))
      throw bad(`${at}[${i}].${key} must be a number from ${least} to ${most}, each once`)
    const text = row[content]
    if (typeof text !== 'string' || !/^(?:[0-9a-f]{2})+$/.test(text) || text.length !== 2 * length)
      throw bad(`${at}[${i}].${content} must be ${length} bytes of lower-case hex`)
    out.set(number, fromHex(text))
  }
  return out
}
