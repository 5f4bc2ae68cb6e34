// What a workload is given of its weights volumes, and what its use is counted under. Mutants tried: the model named by the
// image alone; by the roots in order of value; the volumes of the second replica left out.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeReceipt, modelDigest, type Workload } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EmbassyWorld, IMAGE, NO_FAULTS, newMachine } from '../test-support/embassy-world.ts'
import { FakeTpm } from '../test-support/fake-tpm.ts'

const [FIRST, SECOND] = ['ee'.repeat(32), '11'.repeat(32)]
let directory: string
let world: EmbassyWorld
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sealed-weights-'))
})
afterEach(async () => {
  await world.stop()
  rmSync(directory, { recursive: true })
})

async function modelWith(weights?: Workload['weights']): Promise<string> {
  const given = weights ? { weights } : {}
  world = new EmbassyWorld(await newMachine(directory, new FakeTpm()), NO_FAULTS, 'required', given)
  await world.start()
  const { statements } = decodeReceipt(await world.session()).leaf
  const observed = statements.find(({ type }) => type === 'activations.observed')
  if (observed?.type !== 'activations.observed') throw new Error('no activations')
  return observed.model
}

test('every replica reads them where its file says, and the model is named after them', async () => {
  const weights = [
    { path: '/models', root_hash: FIRST },
    { path: '/adapter', root_hash: SECOND },
  ]
  expect(await modelWith(weights)).toBe(await modelDigest(IMAGE, [FIRST, SECOND]))
  expect(world.containers.started.map((spec) => spec.weights)).toEqual(
    Array(2).fill([
      { source: `/weights/${FIRST}`, target: '/models' },
      { source: `/weights/${SECOND}`, target: '/adapter' },
    ]),
  )
})

test('without any the model is the image, and nothing is mounted', async () => {
  expect(await modelWith()).toBe(IMAGE)
  for (const spec of world.containers.started) expect(spec.weights).toBeUndefined()
})
