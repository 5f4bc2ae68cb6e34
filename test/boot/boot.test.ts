// The image, built, signed and started: a stranger's request is answered under seal, and its receipt verifies against
// values that were computed from the disk's file alone. Beside it two disks that must not get that far; more of them are
// in attacks.slow.ts. Mutants are named there.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { partitionOf, sealed, turnBit } from './disk.ts'
import { NONE, release } from './release.ts'
import { askOf, BOOT_MS, diskOf, machineOf, ready } from './started.ts'
import { type Surroundings, surround } from './surroundings.ts'

const released = release('image')

describe.skipIf(!released)('the image', () => {
  const { built, signed, keys } = released ?? NONE
  let directory: string
  let around: Surroundings
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sealed-boot-'))
    around = await surround(directory)
  })
  afterAll(async () => {
    await around?.stop()
    await rm(directory, { recursive: true, force: true })
  })
  const machine = (name: string, disk: string) =>
    machineOf(around, join(directory, name), disk, keys)

  test('is what its reference values say, before and after it is signed', () => {
    for (const image of [built, signed]) {
      const { code, text } = sealed([
        'image',
        'verify',
        diskOf(image),
        '--reference',
        join(signed, 'reference-values.json'),
      ])
      expect(text).toContain('every value recomputed and equal')
      expect(code).toBe(0)
    }
  })

  test(
    'starts, seals a stranger’s request, and proves which file it started from',
    async () => {
      const started = await machine('whole', diskOf(signed))
      await started.powerOn()
      try {
        await ready(started)
        const { answer, attested } = await askOf(started, around, await around.policy(signed))
        expect(answer.status).toBe(200)
        expect(answer.verdict.outcome).toBe('verified')
        expect(attested.document.launch?.image.config).toBe(around.registry.config)
        await started.pressPower()
        await started.off(BOOT_MS)
      } finally {
        await started.cut()
      }
    },
    2 * BOOT_MS,
  )

  test(
    'is refused by firmware where nobody signed it',
    async () => {
      around.metadata.asked.length = 0
      const started = await machine('unsigned', diskOf(built))
      await started.powerOn()
      try {
        await started.until(async () => {
          expect(started.serial).toMatch(/Access Denied|Security Violation/)
        }, BOOT_MS)
        expect(around.metadata.asked).toEqual([])
      } finally {
        await started.cut()
      }
    },
    BOOT_MS,
  )

  test(
    'stops in its initial file system where one bit of the root is another',
    async () => {
      around.metadata.asked.length = 0
      const started = await machine('altered', diskOf(signed))
      // In the first block, which a mount reads.
      const { offset } = await partitionOf(started.disk, 'sealed-root')
      turnBit(started.disk, offset + 1024)
      expect(sealed(['image', 'verify', started.disk])).toMatchObject({ code: 1 })
      await started.powerOn()
      await started.off(BOOT_MS)
      expect(around.metadata.asked).toEqual([])
    },
    BOOT_MS,
  )
})
