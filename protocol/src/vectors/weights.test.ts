// Weights volumes, against the vectors that Python made.
import volumes from '../../vectors/weights_volume.json' with { type: 'json' }
import { toHex } from '../bytes.ts'
import { verityTree } from '../image/verity.ts'
import { ensure } from '../verify/checks.ts'
import { dataBlocks, modelDigest, weightsSalt } from '../weights.ts'
import { runVectors } from './run.ts'

type Volume =
  | { of: 'length'; bytes: number }
  | { of: 'root'; runs: [number, number][]; stated: string }
  | { of: 'model'; image: string; weights?: string[]; stated: string }

runVectors<Volume>(volumes, async (given) => {
  if (given.of === 'length') {
    const blocks = dataBlocks(given.bytes)
    ensure(blocks !== undefined, 'no volume has that length')
    return { blocks, salt: toHex(await weightsSalt(blocks)) }
  }
  const made =
    given.of === 'root' ? await rootOf(given.runs) : await modelDigest(given.image, given.weights)
  ensure(made === given.stated, `another ${given.of}`)
  return undefined
})

async function rootOf(runs: readonly [number, number][]): Promise<string> {
  const bytes = runs.flatMap(([count, byte]) => Array<number>(count).fill(byte))
  const block = async (index: number) => new Uint8Array(4096).fill(bytes[index]!)
  return toHex((await verityTree(block, bytes.length, await weightsSalt(bytes.length))).root)
}
