// Inclusion, consistency, checkpoints, cosignatures and tiles, against the vectors that Python made.
import checkpoints from '../../vectors/checkpoint.json' with { type: 'json' }
import consistency from '../../vectors/consistency.json' with { type: 'json' }
import cosignatures from '../../vectors/cosignature.json' with { type: 'json' }
import inclusions from '../../vectors/inclusion.json' with { type: 'json' }
import tiles from '../../vectors/tile.json' with { type: 'json' }
import tilePaths from '../../vectors/tile_path.json' with { type: 'json' }
import { concat, fromBase64url, fromHex, toHex } from '../bytes.ts'
import { openCheckpoint, openLogCheckpoint } from '../checkpoint.ts'
import { verifyConsistency } from '../consistency.ts'
import { readCosignatures } from '../cosignature.ts'
import { verifyInclusion } from '../merkle.ts'
import { parseTilePath, TileTree } from '../tiles.ts'
import { ensure } from '../verify/checks.ts'
import { type Edit, edited, runVectors } from './run.ts'

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

runVectors<{ path: string }>(tilePaths, ({ path }) => {
  const tile = parseTilePath(path)
  ensure(tile !== undefined, 'no path of a tile')
  return tile
})

runVectors<{ edits: Edit[]; prove: number }>(tiles, async ({ edits, prove }) => {
  const log = edited(tiles.base, edits)
  const source = async (path: string) => {
    const found = (log.tiles as Record<string, string[]>)[path]
    ensure(found !== undefined, `${path} is not there`)
    return concat(...hashes(found))
  }
  const tree = await TileTree.open(source, { root: fromHex(log.root), size: log.size })
  return { path: (await tree.inclusion(prove)).map(toHex) }
})
