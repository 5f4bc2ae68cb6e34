// What is written into the log, and read out of it: leaves, exported lines, readings of meters.
import { type Bytes, equal, fromUtf8 } from '../bytes.ts'
import { checkEpochs } from '../epochs.ts'
import { canonicalBytes, canonicalize } from '../json.ts'
import { laterLeavesOf, parseLogEntry } from '../log-entries.ts'
import { parseReading } from '../reading.ts'
import { parseBootLeaf } from '../statement.ts'
import type { Target } from './run.ts'
import { receipt } from './samples.ts'

const json = { shape: 'json' as const }
const bootLeaf = {
  key_set: 'ab'.repeat(32),
  kind: 'boot',
  previous: {
    checkpoint_digest: 'cd'.repeat(32),
    origin: 'sealed/0123456789abcdef',
    root: 'ef'.repeat(32),
    size: 7,
  },
  started_ms: 1_795_000_000_000,
  version: 1,
}
const entry = { index: 3, leaf: canonicalize(receipt.leaf), origin: 'sealed/0123456789abcdef' }
const epochLeaf = {
  epoch: 'ab'.repeat(16),
  kind: 'epoch',
  statements: [
    {
      dropped_packets: 0,
      generation: 0,
      image: 'cd'.repeat(32),
      mono_us: '1',
      policy: 'epoch',
      rejected_packets: 0,
      replica: 0,
      ruleset_digest: 'ef'.repeat(32),
      seq: 0,
      type: 'epoch.begun',
      utc_ms: 1,
    },
    {
      how: 'destroyed',
      mono_us: '2',
      reason: 'replica.lost',
      seq: 1,
      type: 'epoch.ended',
      utc_ms: 2,
    },
  ],
  version: 1,
}
const epochEntry = { ...entry, leaf: canonicalize(epochLeaf) }
const OWN = `${'ab'.repeat(16)}/b`
const reading = {
  authority: 'ab'.repeat(16),
  coverage: {
    boots: 1,
    egress_open_ms: 0,
    origin: 'sealed/0123456789abcdef',
    output_bytes_unmetered: 0,
    references: [{ capability: OWN, count: 1, model: 'ab'.repeat(32) }],
    registry_version: 1,
    rollbacks: 0,
    sessions: 2,
    sessions_unmetered: 1,
  },
  meters: [{ capability: OWN, millionths: 5 }],
  next: 9,
  openings: [{ capability: OWN, millionths: 5, salt: 'A'.repeat(43), session: 'cd'.repeat(16) }],
  version: 1,
}

function comesBack(value: unknown, input: Bytes): true {
  if (!equal(canonicalBytes(value), input)) throw new Error('does not come back as it was')
  return true
}

export const leafTargets: Target[] = [
  {
    name: 'boot leaf',
    samples: [canonicalBytes(bootLeaf)],
    ...json,
    accepts: (input) => comesBack(parseBootLeaf(input), input),
  },
  {
    name: 'exported line',
    samples: [canonicalBytes(entry), canonicalBytes(epochEntry)],
    ...json,
    accepts: (input) => {
      const parsed = parseLogEntry(fromUtf8(input))
      checkEpochs(laterLeavesOf([parsed]))
      return comesBack(parsed, input)
    },
  },
  {
    name: 'reading',
    samples: [canonicalBytes(reading)],
    ...json,
    accepts: (input) => comesBack(parseReading(fromUtf8(input)), input),
  },
]
