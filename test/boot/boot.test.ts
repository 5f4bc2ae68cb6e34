// The image, built, signed and started: a stranger's request is answered under seal, and its receipt verifies against
// values that were computed from the disk's file alone. The workload reads weights from volumes on two further disks, one of
// them with a bit turned. Beside it two disks that must not get that far; more of them are in attacks.slow.ts. Mutants are
// named there; of the volumes one was tried here, a linear mapping in the place of dm-verity: the turned bit is read.
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromUtf8 } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { offsetOf, partitionOf, sealed, turnBit } from './disk.ts'
import { NONE, release } from './release.ts'
import { askOf, BOOT_MS, diskOf, machineOf, ready } from './started.ts'
import { type Surroundings, surround } from './surroundings.ts'

const released = release('image')

interface Model {
  /** Where the workload finds it. */
  path: string
  root_hash: string
  /** SHA-256 of its large file. */
  digest: string
  volume: string
}
const MIDDLE = 'in the middle of a large file'
const sha256 = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex')

/** Packs a volume; `name` makes it unlike another. */
async function volumeOf(directory: string, name: string): Promise<Model> {
  const [source, volume] = [join(directory, name), join(directory, `${name}.img`)]
  const large = Buffer.alloc(3 << 20, name)
  large.write(MIDDLE, large.length / 2)
  await mkdir(join(source, 'a'), { recursive: true })
  await writeFile(join(source, 'model.safetensors'), large)
  await writeFile(join(source, 'a', 'b.json'), '{}')
  const { code, text } = sealed(['weights', 'pack', source, '--out', volume, '--json'])
  expect(code, text).toBe(0)
  return { path: `/${name}`, root_hash: JSON.parse(text).root_hash, digest: sha256(large), volume }
}

describe.skipIf(!released)('the image', () => {
  const { built, signed, keys } = released ?? NONE
  let directory: string
  let around: Surroundings
  let models: [Model, Model]
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sealed-boot-'))
    models = [await volumeOf(directory, 'models'), await volumeOf(directory, 'damaged')]
    around = await surround(
      directory,
      models.map(({ path, root_hash }) => ({ path, root_hash })),
    )
  })
  afterAll(async () => {
    await around?.stop()
    await rm(directory, { recursive: true, force: true })
  })
  const machine = (name: string, disk: string, disks: readonly string[] = []) =>
    machineOf(around, join(directory, name), disk, keys, disks)

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
      const [model, damaged] = models
      turnBit(damaged.volume, offsetOf(damaged.volume, MIDDLE))
      const disks = models.map(({ volume }) => volume)
      const started = await machine('whole', diskOf(signed), disks)
      await started.powerOn()
      try {
        await ready(started)
        const read = models.flatMap(({ path }) => [`${path}/model.safetensors`, `${path}/a/b.json`])
        const policy = await around.policy(signed)
        const { answer, attested } = await askOf(started, around, policy, { read })
        expect(answer.status).toBe(200)
        expect(answer.verdict.outcome).toBe('verified')
        expect(attested.document.launch?.image.config).toBe(around.registry.config)
        const { metadata } = JSON.parse(fromUtf8(answer.output))
        expect(metadata).toEqual({
          '/models/model.safetensors': model.digest,
          '/models/a/b.json': sha256('{}'),
          // The block that was turned is an error, never other bytes; all else of its volume is what it was.
          '/damaged/model.safetensors': 'EIO',
          '/damaged/a/b.json': sha256('{}'),
        })
        const roots = models.map(({ root_hash }) => root_hash)
        expect(attested.document.configuration.workloads[0]?.weights).toEqual(roots)
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
