// Statements, grammar, leaves, epochs and readings, against the vectors that Python made.

import epochs from '../../vectors/epochs.json' with { type: 'json' }
import grammars from '../../vectors/grammar.json' with { type: 'json' }
import leaves from '../../vectors/leaf.json' with { type: 'json' }
import readings from '../../vectors/reading.json' with { type: 'json' }
import replays from '../../vectors/replay.json' with { type: 'json' }
import statements from '../../vectors/statement.json' with { type: 'json' }
import { toHex } from '../bytes.ts'
import { checkEpochs } from '../epochs.ts'
import { checkGrammar } from '../grammar.ts'
import { canonicalBytes } from '../json.ts'
import { leafHash } from '../merkle.ts'
import { type Opening, readingSchema, replayMeters } from '../reading.ts'
import { check } from '../schema.ts'
import { laterLeafSchema, leafSchema, type SessionLeaf, statementSchema } from '../statement.ts'
import { type Edit, edited, runVectors } from './run.ts'

type Edited = { edits: Edit[] }

runVectors<Edited & { type: keyof typeof statements.base }>(statements, ({ type, edits }) => {
  check(statementSchema, edited<unknown>(statements.base[type], edits), 'statement')
})

const letters: Record<string, object> = grammars.common
runVectors<{ order: string }>(grammars, ({ order }) => {
  const named = [...order].map((letter, seq) => {
    const statement = { ...letters[letter], seq, mono_us: '0' }
    const reads = order.includes('g') && 'operation' in statement
    return check(statementSchema, reads ? { ...statement, operation: 'read' } : statement, 'one')
  })
  checkGrammar(named)
})

runVectors<Edited & { of: keyof typeof leaves.base }>(leaves, async ({ of, edits }) => {
  const leaf = check(leafSchema, edited<unknown>(leaves.base[of], edits), 'leaf')
  return { hash: toHex(await leafHash(canonicalBytes(leaf))) }
})

runVectors<Edited>(epochs, ({ edits }) => {
  const { leaves } = edited<{ leaves: unknown[] }>(epochs.base, edits)
  return checkEpochs(leaves.map((leaf) => check(laterLeafSchema, leaf, 'leaf')))
})

runVectors<Edited>(readings, ({ edits }) => {
  check(readingSchema, edited<unknown>(readings.base, edits), 'reading')
})

type Replayed = { leaves: { session: string; changes: string[] }[]; openings: Opening[] }
runVectors<Replayed>(replays, async ({ leaves, openings }) => {
  const whole = leaves.map(({ session, changes }) => ({
    session,
    statements: [{ type: 'registry.applied', changes }],
  }))
  const { sums, ...counts } = await replayMeters(whole as unknown as SessionLeaf[], openings)
  return { ...counts, sums: Object.fromEntries(sums) }
})
