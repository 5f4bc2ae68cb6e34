// The receipt stapled to a buffered JSON answer (SPEC.md, "Plain door"): `,"receipt":"…"` before the closing brace.
// Not a byte of the workload's answer changes, so that taking the splice out gives back what was digested.
import { type Bytes, concat, fromUtf8, utf8 } from './bytes.ts'
import { SealedError } from './errors.ts'

const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d])
const QUOTE = 0x22
const BRACE = 0x7d
const MEMBER = utf8(',"receipt":"')

/**
 * The answer with the receipt as its last member; undefined when the answer is no JSON object with a member (the
 * receipt then goes by its id alone). Throws `workload.failed` when the workload wrote a member `receipt` itself.
 */
export function spliceReceipt(answer: Uint8Array, receipt: string): Bytes | undefined {
  const members = topLevelMembers(answer)
  if (!members) return undefined
  if (members.includes('receipt'))
    throw new SealedError(
      'workload.failed',
      'the workload’s answer has a member "receipt" of its own, which only a gateway may write',
    )
  if (members.length === 0) return undefined
  const end = lastBrace(answer)
  return concat(answer.subarray(0, end), MEMBER, utf8(receipt), utf8('"'), answer.subarray(end))
}

/** Takes the splice out again: the workload's bytes and the receipt; undefined when there is none. */
export function unspliceReceipt(
  answer: Uint8Array,
): { output: Uint8Array; receipt: string } | undefined {
  const end = lastBrace(answer)
  if (end < 1 || answer[end - 1] !== QUOTE) return undefined
  const open = answer.lastIndexOf(QUOTE, end - 2)
  const start = open + 1 - MEMBER.length
  if (start < 0 || MEMBER.some((byte, i) => answer[start + i] !== byte)) return undefined
  const receipt = new TextDecoder().decode(answer.subarray(open + 1, end - 1))
  if (!/^[A-Za-z0-9_-]+$/.test(receipt)) return undefined
  return { output: concat(answer.subarray(0, start), answer.subarray(end)), receipt }
}

function topLevelMembers(answer: Uint8Array): string[] | undefined {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8(answer))
  } catch {
    return undefined
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? Object.keys(value as object) : undefined
}

/** Index of the brace that ends the text, or -1. */
function lastBrace(answer: Uint8Array): number {
  let at = answer.length - 1
  while (at >= 0 && SPACE.has(answer[at]!)) at--
  return answer[at] === BRACE ? at : -1
}
