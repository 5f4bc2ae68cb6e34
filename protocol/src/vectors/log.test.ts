// Inclusion, consistency, checkpoints and cosignatures, against the vectors that Python made.
import checkpoints from '../../vectors/checkpoint.json' with { type: 'json' }
import consistency from '../../vectors/consistency.json' with { type: 'json' }
import cosignatures from '../../vectors/cosignature.json' with { type: 'json' }
import inclusions from '../../vectors/inclusion.json' with { type: 'json' }
import { fromBase64url, fromHex, toHex } from '../bytes.ts'
import { openCheckpoint, openLogCheckpoint } from '../checkpoint.ts'
import { verifyConsistency } from '../consistency.ts'
import { readCosignatures } from '../cosignature.ts'
import { verifyInclusion } from '../merkle.ts'
import { ensure } from '../verify/checks.ts'
import { runVectors } from './run.ts'

const hashes = (texts: readonly string[]) => texts.map((text) => fromHex(text))

type Inclusion = { leaf: string; index: number; size: number; path: string[]; root: string }
runVectors<Inclusion>(inclusions, async ({ leaf, index, size, path, root }) => {
  const holds = await verifyInclusion(fromHex(root), fromHex(leaf), index, size, hashes(path))
  ensure(holds, 'not in the tree')
})

interface Consistency {
  from: number
  size: number
  from_root: string
  root: string
  proof: string[]
}
runVectors<Consistency>(consistency, async ({ from, size, from_root, root, proof }) => {
  const older = { size: from, root: fromHex(from_root) }
  const holds = await verifyConsistency(older, { size, root: fromHex(root) }, hashes(proof))
  ensure(holds, 'not grown from it')
})

runVectors<{ note: string }>(checkpoints, async ({ note }) => {
  const { checkpoint } = await openCheckpoint(note, fromBase64url(checkpoints.common.ledger_key))
  return {
    origin: checkpoint.origin,
    size: checkpoint.size,
    root: toHex(checkpoint.root),
    state: toHex(checkpoint.state),
    counter: String(checkpoint.counter),
    time: checkpoint.utcMs,
    ak_name: checkpoint.akName,
    reset: checkpoint.resetCount,
    restart: checkpoint.restartCount,
  }
})

runVectors<{ note: string }>(cosignatures, async (given) => {
  const { ledger_key, witnesses } = cosignatures.common
  const { note } = await openLogCheckpoint(given.note, fromBase64url(ledger_key))
  const seen = await readCosignatures(note, witnesses)
  return { seen: seen.map(({ name, seconds }) => ({ name, seconds })) }
})
