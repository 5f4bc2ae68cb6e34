// `sealed weights`: what is packed, and what is refused. That the kernel and its tools read it is in
// test/weights-volume.test.ts. Mutants tried: a link followed; files laid out in the order in which the disk names them;
// a file that is there overwritten; a tree that is another's accepted; exit 0 where nothing
// was compared; the identifiers of the table not those of the hash.
import {
  chmod,
  mkdir,
  open,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { partitionsOf } from '../../../protocol/src/image/disk.ts'
import { readOf } from '../../../protocol/src/image/test-disk.ts'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { layOut } from './weights/erofs.ts'

/** Of the model below, whoever packs it, wherever. */
const ROOT = '3e70018e5bcec3d0b840bd92bc060e9a37c13ac65b9432e57ef810bf129da66d'

let cli: Cli
beforeEach(async () => {
  cli = await createCli()
})
afterEach(() => cli.remove())

async function model(folder: string, names: readonly string[] = ['b', 'a', 'Z']): Promise<void> {
  await mkdir(cli.path(`${folder}/parts`), { recursive: true })
  for (const name of names) await writeFile(cli.path(`${folder}/parts/${name}`), name)
  await writeFile(cli.path(`${folder}/model.safetensors`), new Uint8Array(10_000).fill(7))
  await writeFile(cli.path(`${folder}/empty`), '')
}
const pack = async (folder = 'model', out = 'volume.img') =>
  cli.run(['weights', 'pack', folder, '--out', out, '--json'])
const verify = (...flags: string[]) => cli.run(['weights', 'verify', 'volume.img', ...flags])
const flip = async (at: number) => {
  const file = await open(cli.path('volume.img'), 'r+')
  const byte = new Uint8Array(1)
  await file.read(byte, 0, 1, at)
  byte[0]! ^= 1
  await file.write(byte, 0, 1, at)
  await file.close()
}

describe('sealed weights pack', () => {
  it('makes a disk with one partition, which the root hash names', async () => {
    await model('model')
    const { exit, out } = await pack()
    expect(exit).toBe(0)
    expect(JSON.parse(out)).toEqual({ bytes: 10 * 4096, files: 5, root_hash: ROOT })
    const disk = await readFile(cli.path('volume.img'))
    const [partition, ...more] = await partitionsOf(readOf(disk))
    expect(more).toEqual([])
    expect(partition).toMatchObject({ name: 'sealed-weights', offset: 1 << 20, length: 10 * 4096 })
    const reversed = (hex: string) => Buffer.from(hex, 'hex').reverse().toString('hex')
    const entry = disk.subarray(1024 + 16, 1024 + 32).toString('hex')
    expect(entry).toBe(
      reversed(ROOT.slice(0, 8)) +
        reversed(ROOT.slice(8, 12)) +
        reversed(ROOT.slice(12, 16)) +
        ROOT.slice(16, 32),
    )
    expect((await stat(cli.path('volume.img'))).mode & 0o777).toBe(0o600)
  })

  it('makes the same of the same names and contents, whatever else is said of them', async () => {
    await model('model')
    await model('again', ['Z', 'a', 'b'])
    await chmod(cli.path('again/parts/a'), 0o755)
    await utimes(cli.path('again/model.safetensors'), 1, 1)
    await pack()
    const { out } = await pack('again', 'again.img')
    expect(JSON.parse(out).root_hash).toBe(ROOT)
    expect(await readFile(cli.path('again.img'))).toEqual(await readFile(cli.path('volume.img')))
  })

  it.each<[string, () => Promise<void>]>([
    ['a name', () => writeFile(cli.path('model/more'), '')],
    ['a byte', () => writeFile(cli.path('model/parts/a'), 'A')],
    ['a place', () => writeFile(cli.path('model/parts/empty'), '')],
  ])('makes another of another one of %s', async (_, change) => {
    await model('model')
    await change()
    expect(JSON.parse((await pack()).out).root_hash).not.toBe(ROOT)
  })

  it('says what to write into the workload file', async () => {
    await model('model')
    const { out } = await cli.run(['weights', 'pack', 'model', '--out', 'volume.img'])
    expect(out).toContain(`"weights": [{ "path": "/models", "root_hash": "${ROOT}" }]`)
  })

  it('follows no link, and says which it was', async () => {
    await model('model')
    await symlink('/etc/passwd', cli.path('model/parts/link'))
    const { err, exit } = await cli.run(['weights', 'pack', 'model', '--out', 'volume.img'])
    expect([exit, err]).toEqual([1, expect.stringMatching(/parts\/link is neither a file nor/)])
    await expect(stat(cli.path('volume.img'))).rejects.toThrow('ENOENT')
    await expect(stat(cli.path('volume.img.part'))).rejects.toThrow('ENOENT')
  })

  it('refuses what is not there, is empty, or would be overwritten', async () => {
    expect((await pack('absent')).exit).toBe(2)
    await mkdir(cli.path('model/parts'), { recursive: true })
    expect((await pack()).exit).toBe(1)
    await model('model')
    await writeFile(cli.path('volume.img'), 'kept')
    expect((await pack()).exit).toBe(2)
    expect(await readFile(cli.path('volume.img'), 'utf8')).toBe('kept')
  })
})

describe('sealed weights verify', () => {
  beforeEach(async () => {
    await model('model')
    await pack()
  })

  it('hashes the volume anew, and holds it against what is named', async () => {
    const good = await verify('--root-hash', ROOT)
    expect([good.exit, good.out]).toEqual([0, expect.stringContaining('It is the volume')])
    const none = await verify()
    expect([none.exit, none.out]).toEqual([3, expect.stringContaining(ROOT)])
    const other = await verify('--root-hash', 'ab'.repeat(32), '--json')
    expect([other.exit, JSON.parse(other.out)]).toMatchObject([1, { equal: false }])
    expect((await verify('--root-hash', 'AB')).exit).toBe(2)
    await rm(cli.path('volume.img'))
    expect((await verify()).exit).toBe(2)
  })

  it.each([
    ['data', (1 << 20) + 5 * 4096],
    ['the hash tree', (1 << 20) + 9 * 4096 + 3],
  ])('fails where one bit of %s is another', async (_, at) => {
    await flip(at)
    const { err, exit } = await verify('--root-hash', ROOT)
    expect([exit, err]).toEqual([1, expect.stringContaining('is another’s')])
  })

  it('fails for what is no volume', async () => {
    await flip(1024 + 56)
    expect((await verify()).err).toContain('one must be named sealed-weights')
    await flip(512)
    expect((await verify()).err).toContain('no GUID partition table')
    await writeFile(cli.path('volume.img'), 'x')
    expect((await verify()).err).toContain('cut short')
    expect((await verify()).err).toContain('of a file, that it is the one you mean')
  })
})

describe('a layout', () => {
  it.each([
    ['no name', [['']]],
    ['the folder itself', [['.']]],
    ['a way out', [['..', 'a']]],
    ['a name of several parts', [['a/b']]],
    ['a name that ends early', [['a\0b']]],
    ['a long name', [['é'.repeat(128)]]],
    ['a name twice', [['a'], ['a']]],
    ['a file that is a folder', [['a'], ['a', 'b']]],
    ['a folder that is a file', [['a', 'b'], ['a']]],
  ])('refuses %s', (_, paths) => {
    expect(() => layOut(paths.map((path) => ({ path, bytes: 1 })))).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    )
  })

  it('is the same in whichever order a disk names the files', () => {
    const files = [['b'], ['a', 'z'], ['Z'], ['a', 'b', 'c']].map((path, i) => ({ path, bytes: i }))
    const { head, files: inOrder } = layOut(files)
    const reversed = layOut(files.toReversed())
    expect(reversed.head).toEqual(head)
    expect(reversed.files).toEqual(inOrder)
    expect(inOrder.map(({ path }) => path.join('/'))).toEqual(['Z', 'a/b/c', 'a/z', 'b'])
  })

  it('ends where blocks can no longer be counted', () => {
    const huge = { path: ['a'], bytes: 2 ** 32 * 4096 }
    expect(() => layOut([huge])).toThrow(/more than 4294967295 blocks/)
  })
})
