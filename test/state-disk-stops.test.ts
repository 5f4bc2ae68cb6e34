// The machine stops while a state is made or taken over by a higher security version, before every step that changes
// anything: the next start makes or opens it, its key is the same, and a version that it was taken from stays out.
// Mutants tried, each found here: the counter raised before the new key is on the disk, a take-over that was cut off not
// finished, the header written before the file system is made.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { STATE_COUNTER } from '../embassy/src/state-disk/policy.ts'
import { readCounter } from '../embassy/src/tpm/nv.ts'
import { tpm2 } from './support/software-tpm.ts'
import { newPolicyKey, onTpm, StateMachine } from './support/state-machine.ts'

let machine: StateMachine
const key = newPolicyKey()
const one = { content: 'one', securityVersion: 1, key }
const two = { content: 'two', securityVersion: 2, key }
const INDEX = `0x${STATE_COUNTER.toString(16)}`
const counter = () => onTpm(machine.tpm, (execute) => readCounter(execute, STATE_COUNTER))

beforeAll(async () => {
  machine = await StateMachine.open()
})
afterAll(() => machine.close())

const CHANGES =
  /NV_Define|NV_Increment|TPM2_Create$|TPM2_Unseal|luksFormat|token|cryptsetup open|mke2fs|^mount/

/** Ends the service before the k-th step that changes anything; undefined where there are fewer. */
async function stoppedAt(k: number, start: () => Promise<unknown>): Promise<string | undefined> {
  let steps = 0
  let stopped: string | undefined
  machine.before = (what) => {
    if (stopped !== undefined || !CHANGES.test(what) || ++steps !== k) return
    stopped = what
    throw new Error('the power went')
  }
  await start().catch((error: Error) => {
    if (error.message !== 'the power went') throw error
  })
  machine.before = () => undefined
  return stopped
}

test('while it is made', async () => {
  const stops: string[] = []
  for (let k = 1; ; k++) {
    const disk = await machine.newDisk('made')
    await tpm2(machine.tpm, 'nvundefine', '-C', 'o', INDEX).catch(() => undefined)
    const stopped = await stoppedAt(k, () => machine.start(one, disk))
    if (stopped === undefined) break
    stops.push(stopped)
    // The file system is made before the header is written, so only a mount comes after.
    const outcome = stopped.startsWith('mount') ? 'opened' : 'made'
    expect(await machine.start(one, disk), stopped).toBe(outcome)
    expect(await machine.start(one, disk), stopped).toBe('opened')
  }
  expect(stops.map((stop) => stop.split(' -')[0])).toEqual(
    expect.arrayContaining([
      'TPM2_NV_DefineSpace',
      'TPM2_NV_Increment',
      'TPM2_Create',
      'cryptsetup luksFormat',
      'cryptsetup token import',
      'cryptsetup open',
      'mke2fs',
      'mount',
    ]),
  )
})

test('while it is taken over', async () => {
  const stops: string[] = []
  for (let k = 1; ; k++) {
    const disk = await machine.newDisk('taken')
    await machine.start(one, disk)
    const before = await counter()
    const stopped = await stoppedAt(k, () => machine.start(two, disk))
    if (stopped === undefined) break
    stops.push(stopped)
    expect(await machine.start(two, disk), stopped).toBe('opened')
    expect(await counter(), stopped).toBe(before + 1n)
    await expect(machine.start(one, disk), stopped).rejects.toMatchObject({ code: 'state.locked' })
  }
  expect(stops.map((stop) => stop.split(' -')[0])).toEqual(
    expect.arrayContaining([
      'TPM2_Unseal',
      'TPM2_Create',
      'cryptsetup token remove',
      'cryptsetup token import',
      'TPM2_NV_Increment',
      'cryptsetup open',
      'mount',
    ]),
  )
})
