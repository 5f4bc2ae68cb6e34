// Weights volumes over a world of disks, mappings and mounts that can be told to lie; a kernel's own is the boot test's.
// Mutants tried: a device taken by its size alone; a salt of another number of blocks; a mount taken for granted
// without its options, its type, its mapping's uuid, or under another one on top; the mapping left where the mount fails; a
// mapping of a life of before kept; names without the instance's id; forbidden taken for absent; nothing said of a disk that is
// not there.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SealedError, toHex, verityTree, weightsSalt } from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Command, ToolFailure } from '../state-disk/run.ts'
import { Volumes } from './volumes.ts'
import { type Device, type Mapping, type Mount, parseMount, type World } from './world.ts'

const BLOCK = 4096
const ID = '00a1'

/** A volume of so many blocks, and its root hash. */
async function volume(blocks: number, fill: number): Promise<{ bytes: Uint8Array; hash: string }> {
  const data = new Uint8Array(blocks * BLOCK).fill(fill)
  const block = async (i: number) => data.subarray(i * BLOCK, (i + 1) * BLOCK)
  const { levels, root } = await verityTree(block, blocks, await weightsSalt(blocks))
  return { bytes: Buffer.concat([data, ...levels]), hash: toHex(root) }
}

class FakeWorld implements World {
  state: 'open' | 'forbidden' | 'absent' = 'open'
  disks = new Map<string, Uint8Array>()
  mapped: (Mapping & { device: string })[] = []
  mounted: Mount[] = []
  ran: string[] = []
  /** A program that fails. */
  failing = ''

  control = async () => this.state
  devices = async (): Promise<Device[]> =>
    [...this.disks].map(([path, { length }]) => ({ path, bytes: length }))
  read = async (device: string, offset: number, length: number) =>
    this.disks.get(device)?.subarray(offset, offset + length)
  mappings = async () => [...this.mapped]
  mounts = async () => [...this.mounted]

  run = async (command: Command): Promise<string> => {
    this.ran.push(command.join(' '))
    const [program, verb, ...rest] = command
    if (program === this.failing) throw new ToolFailure(command, 'no', 1)
    if (program === 'dmsetup' && verb === 'create') {
      if (this.mapped.some(({ name }) => name === rest[0])) throw new Error('name in use')
      const device = `/dev/dm-${this.mapped.length}`
      this.mapped.push({ device, name: rest[0]!, uuid: rest[rest.indexOf('--uuid') + 1]! })
    }
    if (program === 'dmsetup' && verb === 'remove')
      this.mapped = this.mapped.filter(({ name }) => name !== rest.at(-1))
    if (program === 'umount') {
      const index = this.mounted.findLastIndex(({ path }) => path === verb)
      this.mounted.splice(index, 1)
    }
    if (program === 'mount') {
      const [source, path] = rest.slice(-2)
      const mapping = this.mapped.find(({ device }) => device === source)
      const options = rest[rest.indexOf('-o') + 1]!.split(',')
      this.mounted.push({ path: path!, type: rest[0]!, options, mapping })
    }
    return ''
  }
}

let world: FakeWorld
let a: Awaited<ReturnType<typeof volume>>
let b: typeof a
let directory: string
beforeEach(async () => {
  world = new FakeWorld()
  ;[a, b] = await Promise.all([volume(5, 1), volume(6, 2)])
  world.disks.set('/dev/vda', new Uint8Array(1 << 20))
  world.disks.set('/dev/vdb1', b.bytes)
  world.disks.set('/dev/vdc1', a.bytes)
  directory = await mkdtemp(join(tmpdir(), 'sealed-volumes-'))
})
afterEach(() => rm(directory, { recursive: true }))
const volumes = (...wanted: string[]) => new Volumes(world, { id: ID, directory }, wanted)
const nameOf = (hash: string, id = ID) => `sealed-${id}-weights-${hash}`
const refused = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) })

describe('a volume', () => {
  it('is found by its root alone, and mounted read-only under dm-verity', async () => {
    await volumes(a.hash).open()
    const salt = toHex(await weightsSalt(5))
    expect(world.ran).toEqual([
      `dmsetup create ${nameOf(a.hash)} --readonly --uuid SEALED-WEIGHTS-${a.hash} --table 0 40 verity 1 /dev/vdc1 /dev/vdc1 4096 4096 5 5 sha256 ${a.hash} ${salt}`,
      `mount -t erofs -o ro,nodev,nosuid,noexec /dev/dm-0 ${directory}/${a.hash}`,
    ])
    expect(volumes(a.hash).pathOf(a.hash)).toBe(`${directory}/${a.hash}`)
  })

  it('is opened once for all who name it, and stays open for the next life', async () => {
    await volumes(a.hash, b.hash, a.hash).open()
    expect(world.ran).toHaveLength(4)
    await volumes(a.hash, b.hash).look()
    await volumes(b.hash, a.hash).open()
    expect(world.ran).toHaveLength(4)
  })

  it('is not looked for where it is mounted already: another process may have done it', async () => {
    await volumes(a.hash).open()
    world.state = 'forbidden'
    world.disks.clear()
    await volumes(a.hash).look()
    await volumes(a.hash).open()
    await volumes(a.hash).close()
    expect(world.mounted).toHaveLength(1)
  })

  it.each<[string, (bytes: Uint8Array) => Uint8Array | undefined]>([
    ['whose tree ends in another root', (bytes) => bytes.with(5 * BLOCK, bytes[5 * BLOCK]! ^ 1)],
    ['with another size', (bytes) => Buffer.concat([bytes, new Uint8Array(BLOCK)])],
    ['with half a block more', (bytes) => Buffer.concat([bytes, new Uint8Array(512)])],
    ['that is not attached', () => undefined],
  ])('%s is none', async (_, change) => {
    const changed = change(a.bytes)
    if (changed) world.disks.set('/dev/vdc1', changed)
    else world.disks.delete('/dev/vdc1')
    await expect(volumes(a.hash).look()).rejects.toThrow(
      refused('launch.unavailable', new RegExp(`volume ${a.hash}: no disk .*attach the one`)),
    )
    await expect(volumes(a.hash).open()).rejects.toThrow(refused('launch.unavailable', /no disk/))
    expect(world.ran).toEqual([])
  })

  it('whose number of blocks is another has another salt, and is not found', async () => {
    // As its maker might have it: the tree's lower level as data, under the same root.
    const large = await volume(129, 3)
    const flat = large.bytes.subarray(130 * BLOCK)
    world.disks.set(
      '/dev/vdd1',
      Buffer.concat([flat, large.bytes.subarray(129 * BLOCK, 130 * BLOCK)]),
    )
    await expect(volumes(large.hash).look()).rejects.toThrow(
      refused('launch.unavailable', /no disk/),
    )
  })

  it('that cannot be read is passed over', async () => {
    const read = world.read
    world.read = async (device, ...rest) =>
      device === '/dev/vdb1' ? undefined : read(device, ...rest)
    await volumes(a.hash).open()
    await expect(volumes(b.hash).look()).rejects.toThrow(/no disk that is attached/)
  })
})

describe('a machine', () => {
  it('without a device mapper refuses weights, and says what is missing', async () => {
    world.state = 'absent'
    for (const act of [() => volumes(a.hash).look(), () => volumes(a.hash).open()])
      await expect(act()).rejects.toThrow(
        refused(
          'config.invalid',
          /no device mapper .*dm_verity.*else put the weights into the image/,
        ),
      )
    expect(world.ran).toEqual([])
  })

  it('without one has nothing to say where there are none', async () => {
    world.state = 'absent'
    await volumes().look()
    await volumes().open()
    await volumes().close()
  })

  it('where another service should have opened them points to it', async () => {
    world.state = 'forbidden'
    await expect(volumes(a.hash).look()).rejects.toThrow(/sealed-weights\.service/)
  })

  it.each(['dmsetup', 'mount'])('on which %s fails is left as it was', async (program) => {
    world.failing = program
    await expect(volumes(a.hash).open()).rejects.toThrow(
      refused('config.invalid', new RegExp(`volume ${a.hash}: ${program} .*: no`)),
    )
    world.failing = ''
    expect([world.mapped, world.mounted]).toEqual([[], []])
  })
})

describe('what is there already', () => {
  const right = (): Mount => ({
    path: `${directory}/${a.hash}`,
    type: 'erofs',
    options: ['ro', 'nosuid', 'nodev', 'noexec', 'relatime', 'ro'],
    mapping: { name: nameOf(a.hash), uuid: `SEALED-WEIGHTS-${a.hash}` },
  })

  it('is taken where it is what it should be', async () => {
    world.mounted = [right()]
    await volumes(a.hash).look()
    await volumes(a.hash).open()
    expect(world.ran).toEqual([])
  })

  it.each<[string, (mount: Mount) => Mount[]]>([
    ['another file system', (mount) => [{ ...mount, type: 'tmpfs' }]],
    ['no mapped device', (mount) => [{ ...mount, mapping: undefined }]],
    [
      'another mapping',
      (mount) => [{ ...mount, mapping: { ...mount.mapping!, name: nameOf(b.hash) } }],
    ],
    [
      'a mapping of another volume',
      (mount) => [{ ...mount, mapping: { ...mount.mapping!, uuid: `SEALED-WEIGHTS-${b.hash}` } }],
    ],
    ...['ro', 'nosuid', 'nodev', 'noexec'].map((left): [string, (mount: Mount) => Mount[]] => [
      `not ${left}`,
      (mount) => [{ ...mount, options: mount.options.filter((option) => option !== left) }],
    ]),
    ['something on top of it', (mount) => [mount, { ...mount, type: 'tmpfs' }]],
    ['at another place', (mount) => [{ ...mount, path: `${mount.path}x` }]],
  ])('is opened anew where it is %s', async (_, change) => {
    world.mounted = change(right())
    world.mapped = [{ ...right().mapping!, device: '/dev/dm-9' }]
    await volumes(a.hash).open()
    expect(world.ran.some((line) => line.startsWith('dmsetup create'))).toBe(true)
    expect(world.mounted.at(-1)).toMatchObject({ type: 'erofs', mapping: right().mapping })
    world.ran = []
    await volumes(a.hash).look()
    expect(world.ran).toEqual([])
  })

  it('is refused where something else stays in its place', async () => {
    const run = world.run
    world.run = async (command) => {
      const out = await run(command)
      if (command[0] === 'mount') world.mounted.push({ ...right(), type: 'tmpfs' })
      return out
    }
    await expect(volumes(a.hash).open()).rejects.toThrow(
      refused('config.invalid', /something else/),
    )
  })
})

describe('closing', () => {
  it('takes mounts and mappings away, those of other instances not', async () => {
    world.mapped.push(
      { device: '/dev/dm-8', name: nameOf(a.hash, '00a2'), uuid: 'x' },
      { device: '/dev/dm-7', name: 'sealed-state', uuid: '' },
    )
    await volumes(a.hash, b.hash).open()
    await volumes(a.hash, b.hash).close()
    expect(world.mounted).toEqual([])
    expect(world.mapped.map(({ name }) => name)).toEqual([nameOf(a.hash, '00a2'), 'sealed-state'])
  })

  it('at a start takes what an earlier life left, and is wanted no more', async () => {
    await volumes(a.hash, b.hash).open()
    await volumes(b.hash).close('wanted')
    expect(world.mapped.map(({ name }) => name)).toEqual([nameOf(b.hash)])
    expect(world.mounted.map(({ path }) => path)).toEqual([`${directory}/${b.hash}`])
  })

  it('takes a mapping that was left without its mount', async () => {
    world.mapped.push({ device: '/dev/dm-9', name: nameOf(a.hash), uuid: 'x' })
    await volumes().close()
    expect(world.mapped).toEqual([])
  })
})

describe('a line of mountinfo', () => {
  it('is read with the options of mount and file system', () => {
    const line =
      '44 25 253:1 / /run/sealed/5ea1/w\\040x ro,nosuid,nodev shared:9 master:2 - erofs /dev/mapper/w ro,user_xattr'
    expect(parseMount(line)).toEqual({
      device: '253:1',
      path: '/run/sealed/5ea1/w x',
      type: 'erofs',
      options: ['ro', 'nosuid', 'nodev', 'ro', 'user_xattr'],
    })
  })
})

it('errors are the base error of protocol', async () => {
  world.state = 'absent'
  await expect(volumes(a.hash).open()).rejects.toBeInstanceOf(SealedError)
})
