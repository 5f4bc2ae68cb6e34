// Canonical JSON, spellings of bytes, and the splices, against the vectors that Python made.
import encodings from '../../vectors/encoding.json' with { type: 'json' }
import streams from '../../vectors/event_splice.json' with { type: 'json' }
import json from '../../vectors/json.json' with { type: 'json' }
import splices from '../../vectors/splice.json' with { type: 'json' }
import { concat, fromBase64url, fromHex, fromUtf8, toHex, utf8 } from '../bytes.ts'
import { EventStapler, unspliceEvents } from '../event-splice.ts'
import { canonicalize, parseCanonical } from '../json.ts'
import { spliceReceipt, unspliceReceipt } from '../splice.ts'
import { Refusal } from '../verify/checks.ts'
import { runVectors } from './run.ts'

runVectors<{ text?: string; hex?: string; deep?: number }>(json, ({ text, hex, deep }) => {
  if (deep) {
    parseCanonical('['.repeat(deep) + ']'.repeat(deep))
    return
  }
  const input = hex === undefined ? text! : fromUtf8(fromHex(hex))
  const value = parseCanonical(utf8(input))
  if (canonicalize(value) !== input) throw new Refusal('written otherwise than it was read')
  return { value }
})

runVectors<{ encoding: string; text: string }>(encodings, ({ encoding, text }) => ({
  bytes: toHex(encoding === 'digest' ? fromHex(text, 32) : fromBase64url(text)),
}))

type Splice =
  | { operation: 'splice'; answer: string; receipt: string }
  | { operation: 'unsplice'; spliced: string }
runVectors<Splice>(splices, (given) => {
  if (given.operation === 'splice') {
    const spliced = spliceReceipt(utf8(given.answer), given.receipt)
    if (!spliced) throw new Refusal('nowhere to put a receipt')
    return { spliced: fromUtf8(spliced) }
  }
  const taken = unspliceReceipt(utf8(given.spliced))
  if (!taken) throw new Refusal('no receipt is spliced in')
  return { answer: fromUtf8(taken.output), receipt: taken.receipt }
})

type EventSplice =
  | { operation: 'splice'; stream: string; receipt: string }
  | { operation: 'unsplice'; spliced: string }
runVectors<EventSplice>(streams, (given) => {
  if (given.operation === 'splice') {
    const stapler = new EventStapler()
    const passed = stapler.push(utf8(given.stream))
    return { spliced: fromUtf8(concat(passed, stapler.end(given.receipt))) }
  }
  const taken = unspliceEvents(utf8(given.spliced))
  if (!taken) throw new Refusal('no receipt is spliced in')
  return { stream: fromUtf8(taken.output), receipt: taken.receipt }
})
