// Where people have a receipt: alone, in the answer it was stapled to (as it came, or as `curl -i` kept it), in a saved
// event stream, in another program's JSON. Finds it and, where the bytes allow, the output it speaks of; judges nothing.
import {
  type Bytes,
  canonicalBytes,
  concat,
  fromUtf8,
  parseStrict,
  SealedError,
  toBase64url,
  unspliceReceipt,
  utf8,
} from '@sealed/protocol'
import { UsageError } from './usage.ts'

/** What was found; `output` only where it is byte for byte what the receipt's digest is over. */
export interface Found {
  receipt?: string
  output?: Bytes
  /** In base64url, from the headers of an answer or from `sealed ask --json`. */
  salt?: string
  /** The receipt's id, where the answer carries only that. */
  id?: string
}

/** Finds a receipt in what `source` holds; throws `UsageError` saying what it holds instead. */
export function findReceipt(bytes: Bytes, source: string): Found {
  if (bytes.every((byte) => byte <= 0x20)) throw new UsageError(`${source} is empty`, 'receipt')
  if (startsWith(bytes, 'HTTP/')) return fromHttp(bytes, source)
  const spliced = unspliceReceipt(bytes)
  if (spliced) return { receipt: spliced.receipt, output: new Uint8Array(spliced.output) }
  const text = decode(bytes, source)
  if (/^(?:data|event|id|retry)?:/m.test(text) && /^data:/m.test(text))
    return fromEvents(text, source)
  if (text.trimStart().startsWith('{')) return fromJson(text, source)
  return fromLine(text.trim())
}

/** A receipt, or a header line that holds one or its id. */
export function fromLine(line: string): Found {
  const header = /^(sealed-receipt(?:-id)?)\s*:\s*(.*)$/i.exec(line)
  if (!header) return { receipt: line }
  return header[1]!.toLowerCase() === 'sealed-receipt'
    ? { receipt: header[2]! }
    : { id: header[2]! }
}

function fromHttp(bytes: Bytes, source: string): Found {
  const end = endOfHead(bytes)
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, end.head))
  const body = bytes.slice(end.body)
  const header = (name: string) => new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, 'im').exec(head)?.[1]
  const salt = header('sealed-salt')
  const id = header('sealed-receipt-id')
  const whole = header('sealed-receipt')
  const more = { ...(salt !== undefined && { salt }), ...(id !== undefined && { id }) }
  if (whole !== undefined) return { ...more, receipt: whole, output: body }
  const known = id !== undefined
  try {
    // The body of an interim answer (100, 103), or of a proxy's word before, is the next head.
    return { ...more, ...findReceipt(body, source) }
  } catch (error) {
    if (known && error instanceof UsageError) return more
    throw error
  }
}

function endOfHead(bytes: Bytes): { head: number; body: number } {
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== 10) continue
    if (bytes[at + 1] === 10) return { head: at, body: at + 2 }
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return { head: at, body: at + 3 }
  }
  return { head: bytes.length, body: bytes.length }
}

/** The event with the receipt, and heartbeats, are the gateway's; what is left is the workload's own stream. */
function fromEvents(text: string, source: string): Found {
  let receipt: string | undefined
  const own: string[] = []
  for (const event of text.split(/(?<=\n\n)/)) {
    const data = /^data: ?(\{.*\})\n+$/s.exec(event)?.[1]
    const found = data === undefined ? undefined : receiptMember(data)
    if (found !== undefined) receipt = found
    else if (event !== ': sealed\n\n') own.push(event)
  }
  if (receipt === undefined)
    throw new UsageError(
      `${source} is an event stream without a receipt; it stands in the last event before [DONE]`,
      'receipt',
    )
  return { receipt, output: concat(...own.map(utf8)) }
}

function receiptMember(json: string): string | undefined {
  try {
    const { receipt } = JSON.parse(json) as { receipt?: unknown }
    return typeof receipt === 'string' ? receipt : undefined
  } catch {
    return undefined
  }
}

/** Members that tell files of ours apart. */
const KINDS: readonly [members: string[], what: string][] = [
  [['key_set', 'ak'], 'an attestation document: give it with --document'],
  [['document', 'challenge'], 'an attestation document: give it with --document'],
  [['header', 'keys'], 'an envelope: give it with --request'],
  [['ak_roots', 'evidence'], 'a policy: give it with --policy'],
  [['verdict', 'checks'], 'a verdict, not the receipt it was made of'],
]

/** What a JSON object is, of the files that this command takes, and the option for it. */
export const kindOf = (value: object): string | undefined =>
  KINDS.find(([members]) => members.every((member) => member in value))?.[1]

function fromJson(text: string, source: string): Found {
  let value: Record<string, unknown>
  try {
    value = JSON.parse(text) as Record<string, unknown>
  } catch {
    throw new UsageError(`${source} begins like JSON and is none; was it cut?`, 'receipt')
  }
  const { receipt, receipt_id, salt } = value
  if (typeof receipt === 'string') return { receipt, ...(typeof salt === 'string' && { salt }) } // written anew: no bytes to compare
  if (typeof receipt_id === 'string') return { id: receipt_id }
  if ('checkpoint' in value && 'leaf' in value) return { receipt: encodeAgain(text, source) }
  throw new UsageError(
    `${source} is ${kindOf(value) ?? 'JSON without a member "receipt"'}`,
    'receipt',
  )
}

/** A receipt that someone decoded to look at it. */
function encodeAgain(text: string, source: string): string {
  try {
    return toBase64url(canonicalBytes(parseStrict(text)))
  } catch (error) {
    if (!(error instanceof SealedError)) throw error
    throw new UsageError(`${source} is no receipt: ${error.message}`, 'receipt')
  }
}

function decode(bytes: Bytes, source: string): string {
  try {
    return fromUtf8(bytes)
  } catch {
    throw new UsageError(
      `${source} is binary; a receipt is text, or stands in an answer`,
      'receipt',
    )
  }
}

const startsWith = (bytes: Uint8Array, text: string): boolean =>
  utf8(text).every((byte, i) => bytes[i] === byte)
