// `npm run test:boot`: what else an operator, a host or a thief of disks could try with a booted image, and that a second
// build has the same bytes. Minutes for each, without acceleration; `npm test` has the whole start and the two that end
// before the system does. The debug image is another image, under the same keys, and says at its serial port why it
// does not go on. Mutant tried: an initrd that mounts the root without dm-verity; the letter passes, the machine goes on.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseReferenceValues, type ReferenceValues } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answering } from '../../embassy/src/test-support/metadata-server.ts'
import { run as runTool } from '../../scripts/world/run.ts'
import { NOOP } from '../support/launched.ts'
import { offsetOf, partitionOf, sealed, turnBit } from './disk.ts'
import type { Machine } from './machine.ts'
import { buildAgain, NONE, type Release, release } from './release.ts'
import { askOf, BOOT_MS, diskOf, machineOf, ready } from './started.ts'
import { type Surroundings, surround } from './surroundings.ts'

const DEBUG = { console: 'debug' }
const NEXT = { ...DEBUG, 'security-version': '2' }
const production = release('image')
const debug = release('debug', DEBUG)
const next = release('next', NEXT)

const valuesOf = async ({ built }: Release): Promise<ReferenceValues> =>
  parseReferenceValues(await readFile(join(built, 'reference-values.json'), 'utf8'))

describe.skipIf(!(production && debug && next))('an image', () => {
  const [image, open, newer] = [production ?? NONE, debug ?? NONE, next ?? NONE]
  let directory: string
  let around: Surroundings
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sealed-boot-'))
    around = await surround(directory, [], { 'sealed.weights': '/models' })
  })
  afterAll(async () => {
    await around?.stop()
    await rm(directory, { recursive: true, force: true })
  })
  const machine = (name: string, { signed, keys }: Release) =>
    machineOf(around, join(directory, name), diskOf(signed), keys)
  /** Until it says so; then it is off. */
  const says = async (started: Machine, message: RegExp) => {
    try {
      await started.until(async () => expect(started.serial).toMatch(message), BOOT_MS)
    } finally {
      await started.cut()
    }
  }

  test('is the same, byte for byte, when it is built again', () => buildAgain(), BOOT_MS)

  test('of one other setting has another root, and other values that follow from it', async () => {
    const [before, after] = [await valuesOf(open), await valuesOf(newer)]
    expect(after.root_hash).not.toBe(before.root_hash)
    const pcr = ({ image: { pcrs } }: ReferenceValues, index: number) =>
      pcrs.find((row) => row.index === index)?.digests
    for (const index of [4, 9, 11]) expect(pcr(after, index)).not.toEqual(pcr(before, index))
  })

  test(
    'stops at a bit that would change no more than a letter of a description',
    async () => {
      const started = await machine('one-letter', image)
      // It stands uncompressed in the unit that opens the state: without dm-verity the machine would go on.
      const letter = offsetOf(diskOf(image.signed), 'Encrypted state, its key sealed')
      turnBit(started.disk, letter)
      around.metadata.asked.length = 0
      await started.powerOn()
      await started.off(BOOT_MS)
      expect(around.metadata.asked).toEqual([])
    },
    BOOT_MS,
  )

  test(
    'of another command line starts under the same keys, and is not taken for the one released',
    async () => {
      const started = await machine('other-line', open)
      await started.powerOn()
      try {
        await ready(started)
        const policy = await around.policy(image.signed)
        await expect(askOf(started, around, policy)).rejects.toThrow(/pcr_reference/)
        // What it is, it proves.
        const { answer } = await askOf(started, around, await around.policy(open.signed))
        expect(answer.verdict.outcome).toBe('verified')
        const other = { ...(await around.policy(open.signed)), workloads: ['ab'.repeat(32)] }
        await expect(askOf(started, around, other)).rejects.toThrow(/workload/)
      } finally {
        await started.cut()
      }
    },
    2 * BOOT_MS,
  )

  test(
    'does not go on from a state that was put back',
    async () => {
      const started = await machine('put-back', open)
      const policy = await around.policy(open.signed)
      const kept = join(directory, 'kept.raw')
      await started.powerOn()
      await ready(started)
      await askOf(started, around, policy)
      await started.cut()
      await runTool('cp', ['--sparse=always', started.disk, kept])
      await started.powerOn()
      await ready(started)
      await askOf(started, around, policy)
      await started.cut()
      await runTool('cp', ['--sparse=always', kept, started.disk])
      await started.powerOn()
      await says(started, /state\.rollback/)
    },
    4 * BOOT_MS,
  )

  test(
    'does not open what a higher security version has taken over',
    async () => {
      const started = await machine('taken-over', open)
      await started.powerOn()
      await says(started, /state partition made/)
      await swapImage(started, newer)
      await started.powerOn()
      await says(started, /state partition opened/)
      await swapImage(started, open)
      await started.powerOn()
      await says(started, /state\.locked/)
    },
    4 * BOOT_MS,
  )

  test(
    'computes with no weights rather than with others',
    async () => {
      const root_hash = '5ea1'.repeat(16)
      around.give({ 'sealed-workload': { ...NOOP, weights: [{ path: '/models', root_hash }] } })
      // A volume, but not the one that is named.
      const [source, volume] = [join(directory, 'model'), join(directory, 'volume.img')]
      await mkdir(source)
      await writeFile(join(source, 'model.safetensors'), 'weights')
      expect(sealed(['weights', 'pack', source, '--out', volume]).code).toBe(0)
      const place = join(directory, 'weightless')
      const started = await machineOf(around, place, diskOf(open.signed), open.keys, [volume])
      await started.powerOn()
      try {
        await says(started, new RegExp(`volume ${root_hash}: no disk that is attached holds it`))
        expect(started.serial).not.toContain('embassy ready')
      } finally {
        around.give()
      }
    },
    BOOT_MS,
  )

  test(
    'takes nothing from a metadata server that is not GCE’s',
    async () => {
      const answer = around.metadata.answer
      around.metadata.answer = answering(200, '{}', {})
      const started = await machine('faked', open)
      await started.powerOn()
      try {
        await says(started, /answered by something else than GCE/)
      } finally {
        around.metadata.answer = answer
      }
    },
    BOOT_MS,
  )
})

/** Another image on the disk of a machine, as an update writes it: everything but the state. */
async function swapImage(machine: Machine, { signed }: Release): Promise<void> {
  for (const name of ['esp', 'sealed-root', 'sealed-approvals']) {
    const [from, to] = [
      await partitionOf(diskOf(signed), name),
      await partitionOf(machine.disk, name),
    ]
    expect(from).toEqual(to)
    const place = [`skip=${from.offset}`, `seek=${to.offset}`, `count=${from.length}`]
    await runTool('dd', [
      ...[`if=${diskOf(signed)}`, `of=${machine.disk}`, 'bs=4M', 'conv=notrunc', ...place],
      ...['iflag=skip_bytes,count_bytes', 'oflag=seek_bytes', 'status=none'],
    ])
  }
}
