// What witnesses add to a receipt: that others have seen its leaf in the one log, and by when. A proof is judged
// wherever one is given; a witness counts only where the policy names it.
import { fromBase64url } from '../bytes.ts'
import { type Checkpoint, hasCounted, openLogCheckpoint } from '../checkpoint.ts'
import { readCosignatures } from '../cosignature.ts'
import { verifyInclusion } from '../merkle.ts'
import type { Policy } from '../policy.ts'
import { parseTlogProof } from '../tlog-proof.ts'
import { ensure, Skip } from './checks.ts'

const FUTURE_MS = 60_000

/** That a quorum of named witnesses has seen the leaf. */
export interface Witnessed {
  names: string[]
  /** By when, by the clock of one witness at least that is honest where no quorum colludes. */
  untilMs: number
  size: number
}

/** What a receipt says of its leaf, each part checked already. */
export interface WitnessedLeaf {
  ledgerKey: string
  checkpoint: Checkpoint
  leafHash: Uint8Array
  index: number
}

/**
 * Judges a tlog-proof. Throws where it does not lead from the leaf to a checkpoint of the same log and boot, or where a
 * named witness's line does not hold; throws `Skip` where too few have signed.
 */
export async function checkWitnesses(
  text: string | undefined,
  leaf: WitnessedLeaf,
  policy: Policy,
  now: number,
): Promise<Witnessed> {
  if (text === undefined) throw new Skip('no tlog-proof was given')
  const proof = parseTlogProof(text)
  const { checkpoint, note } = await openLogCheckpoint(
    proof.checkpoint,
    fromBase64url(leaf.ledgerKey),
  )
  sameLog(leaf.checkpoint, checkpoint)
  ensure(proof.index === leaf.index, 'the proof is for another leaf')
  const { root, size } = checkpoint
  ensure(
    await verifyInclusion(root, leaf.leafHash, proof.index, size, proof.path),
    'the proof does not lead from the leaf to its checkpoint',
  )
  const { keys, quorum } = policy.witnesses ?? { keys: [], quorum: 0 }
  const cosignatures = await readCosignatures(note, keys)
  for (const { name, seconds } of cosignatures)
    ensure(seconds * 1000 <= now + FUTURE_MS, `the time of witness ${name} is in the future`)
  const needed = Math.max(1, quorum)
  if (keys.length === 0) throw new Skip('the policy names no witness')
  if (cosignatures.length < needed)
    throw new Skip(`${cosignatures.length} of the ${needed} witnesses needed have cosigned`)
  const times = cosignatures.map(({ seconds }) => seconds).sort((a, b) => a - b)
  return {
    names: cosignatures.map(({ name }) => name),
    // A cosignature's time is cut to whole seconds, so it was made before the next one.
    untilMs: (times[needed - 1]! + 1) * 1000,
    size,
  }
}

/** Two checkpoints that one boot signed for one log; one size has one root. */
function sameLog(receipt: Checkpoint, proof: Checkpoint): void {
  ensure(proof.origin === receipt.origin, 'the proof is of another log')
  ensure(
    proof.akName === receipt.akName &&
      proof.resetCount === receipt.resetCount &&
      proof.restartCount === receipt.restartCount,
    'the proof’s checkpoint is of another boot',
  )
  ensure(
    proof.size !== receipt.size || proof.root.every((byte, i) => byte === receipt.root[i]),
    'the log is forked: two checkpoints of one size have two roots',
  )
  const [earlier, later] = proof.size < receipt.size ? [proof, receipt] : [receipt, proof]
  ensure(
    proof.size === receipt.size || hasCounted(later, earlier),
    'the counter did not rise from the smaller checkpoint to the larger',
  )
}
