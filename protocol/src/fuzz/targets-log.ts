// The log's formats: notes, proofs, tiles, cosignatures. A path, a proof or a tile that was changed leads nowhere.
import { type Bytes, concat, equal, fromUtf8, toBase64url, utf8 } from '../bytes.ts'
import { checkpointBody, openLogCheckpoint, parseCheckpointBody, signNote } from '../checkpoint.ts'
import { merkleConsistency, verifyConsistency } from '../consistency.ts'
import { cosign, readCosignatures } from '../cosignature.ts'
import { leafHash, merklePath, merkleRoot, verifyInclusion } from '../merkle.ts'
import { parseNote, parseSignatureLines } from '../note.ts'
import { parseTilePath, TileTree, tilePath } from '../tiles.ts'
import { encodeTlogProof, parseTlogProof } from '../tlog-proof.ts'
import { encodeAddCheckpoint, parseAddCheckpoint, parseKnownSize } from '../witness.ts'
import type { Target } from './run.ts'
import { fixed, receipt, signer } from './samples.ts'

const SIZE = 11
const INDEX = 5

const hashesIn = (bytes: Bytes): Bytes[] =>
  Array.from({ length: Math.ceil(bytes.length / 32) }, (_, i) => bytes.slice(32 * i, 32 * i + 32))
const bytesOf = (sample: Bytes) => (input: Bytes) => equal(sample, input)

function sameText(a: string, b: string, what: string): true {
  if (a !== b) throw new Error(`${what} has two spellings`)
  return true
}

export async function logTargets(): Promise<Target[]> {
  const body = parseNote(receipt.checkpoint).body
  const checkpoint = parseCheckpointBody(body)
  const [ledger, witness] = [await signer(8), await signer(9)]
  const note = await signNote(body, checkpoint.origin, ledger.publicKey, ledger.sign)
  const line = await cosign(
    body,
    'witness.example/1',
    witness.publicKey,
    1_795_000_000,
    witness.sign,
  )
  const keys = [{ name: 'witness.example/1', public_key: toBase64url(witness.publicKey) }]
  const cosigned = utf8(note + line)
  const leaves = await Promise.all(Array.from({ length: SIZE }, (_, i) => leafHash(fixed(i))))
  const root = await merkleRoot(leaves)
  const path = await merklePath(leaves, INDEX)
  const old = { size: 6, root: await merkleRoot(leaves.slice(0, 6)) }
  const growth = concat(...(await merkleConsistency(leaves, old.size)))
  const tile = concat(...leaves)
  const proof = encodeTlogProof({ index: INDEX, path, checkpoint: note })
  const extra = encodeTlogProof({ index: INDEX, path, checkpoint: note, extra: fixed(1, 5) })
  const add = encodeAddCheckpoint({ old: old.size, proof: hashesIn(growth), checkpoint: note })
  return [
    {
      name: 'checkpoint body',
      samples: [utf8(body)],
      shape: 'lines',
      accepts: (input) => {
        const string = fromUtf8(input)
        return sameText(checkpointBody(parseCheckpointBody(string)), string, 'a checkpoint')
      },
    },
    {
      name: 'note',
      samples: [utf8(receipt.checkpoint), cosigned],
      shape: 'lines',
      accepts: (input) => {
        const { body: own, signatures } = parseNote(fromUtf8(input))
        const lines = signatures.map((one) => one.line).join('')
        return sameText(`${own}\n${lines}`, fromUtf8(input), 'a note')
      },
    },
    {
      name: 'signature lines',
      samples: [utf8(line)],
      shape: 'lines',
      accepts: (input) => parseSignatureLines(fromUtf8(input)).length > 0,
    },
    {
      name: 'cosigned checkpoint',
      samples: [cosigned],
      shape: 'lines',
      accepts: async (input) => {
        const opened = await openLogCheckpoint(fromUtf8(input), ledger.publicKey)
        return (await readCosignatures(opened.note, keys)).length > 0
      },
      // Lines of others may stand in it, in any order; the body and both signatures are as they were.
      signed: (input) => {
        const parsed = parseNote(fromUtf8(input))
        const has = (text: string) => parsed.signatures.some((one) => one.line === text)
        return parsed.body === body && has(line) && has(note.slice(body.length + 1))
      },
    },
    {
      name: 'inclusion path',
      samples: [concat(...path)],
      shape: 'bytes',
      accepts: (input) => verifyInclusion(root, leaves[INDEX]!, INDEX, SIZE, hashesIn(input)),
      signed: bytesOf(concat(...path)),
    },
    {
      name: 'consistency proof',
      samples: [growth],
      shape: 'bytes',
      accepts: (input) => verifyConsistency(old, { size: SIZE, root }, hashesIn(input)),
      signed: bytesOf(growth),
    },
    {
      name: 'tile',
      samples: [tile],
      shape: 'bytes',
      accepts: async (input) => {
        const tree = await TileTree.open(async () => input, { size: SIZE, root })
        return equal(await tree.root(old.size), old.root)
      },
      signed: bytesOf(tile),
    },
    {
      name: 'tile path',
      samples: [
        tilePath({ level: 0, index: 0, width: 11 }),
        tilePath({ level: 1, index: 1_234_067, width: 256 }),
      ].map(utf8),
      shape: 'lines',
      accepts: (input) => {
        const parsed = parseTilePath(fromUtf8(input))
        return parsed !== undefined && sameText(tilePath(parsed), fromUtf8(input), 'a tile path')
      },
    },
    {
      name: 'tlog-proof',
      samples: [utf8(proof), utf8(extra)],
      shape: 'lines',
      accepts: (input) =>
        sameText(encodeTlogProof(parseTlogProof(fromUtf8(input))), fromUtf8(input), 'a tlog-proof'),
    },
    {
      name: 'add-checkpoint',
      samples: [utf8(add), utf8(encodeAddCheckpoint({ old: 0, proof: [], checkpoint: note }))],
      shape: 'lines',
      accepts: (input) =>
        sameText(
          encodeAddCheckpoint(parseAddCheckpoint(fromUtf8(input))),
          fromUtf8(input),
          'an add-checkpoint',
        ),
    },
    {
      name: 'known size',
      samples: [utf8('11\n')],
      shape: 'lines',
      accepts: (input) => {
        const size = parseKnownSize(fromUtf8(input))
        return size !== undefined && sameText(`${size}\n`, fromUtf8(input), 'a size')
      },
    },
  ]
}
