// What `sealed weights pack` makes, as others read it: the file system by erofs-utils, the hash tree by cryptsetup's
// veritysetup, each without a kernel. Mutants tried: names of a folder out of order; a name that does not fit
// written across blocks; contents one block further on; the levels of the tree bottom first; the salt without the number of
// blocks.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { dataBlocks, toHex } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { partitionOf, sealed } from './boot/disk.ts'

const run = promisify(execFile)
let directory: string
let source: string
let packed: { bytes: number; files: number; root_hash: string }
const volume = () => join(directory, 'volume.img')
/** The partition's contents as a file of their own. */
const bare = () => join(directory, 'bare')

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-weights-'))
  source = join(directory, 'source')
  const write = async (path: string, content: string | Uint8Array) => {
    await mkdir(join(source, path, '..'), { recursive: true })
    await writeFile(join(source, path), content)
  }
  // More than 128 blocks, so that there is a second level; and folders of many blocks, their last names at odd places.
  await write(
    'model.safetensors',
    new Uint8Array(2_000_001).map((_, i) => i >> 8),
  )
  await write('empty', '')
  await write('one-block', new Uint8Array(4096).fill(1))
  await write('!before-the-dots', 'x')
  await write('deep/er/still/config.json', '{}')
  await write('ünïcode/模型', 'y')
  for (let i = 0; i < 400; i++) await write(`shards/${'s'.repeat(i % 200)}-${i}`, `${i}`)
  const { code, text } = sealed(['weights', 'pack', source, '--out', volume(), '--json'])
  expect(code, text).toBe(0)
  packed = JSON.parse(text)
  const { length, offset } = await partitionOf(volume(), 'sealed-weights')
  expect(length).toBe(packed.bytes)
  const file = await open(volume())
  const bytes = new Uint8Array(length)
  await file.read(bytes, 0, length, offset)
  await file.close()
  await writeFile(bare(), bytes)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const filesOf = async (root: string) => {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return new Map(
    await Promise.all(
      files.map(async ({ name, parentPath }) => {
        const path = join(parentPath, name)
        return [path.slice(root.length + 1), toHex(await readFile(path))] as const
      }),
    ),
  )
}

test('fsck.erofs finds nothing amiss, and every file as it was', async () => {
  const out = join(directory, 'out')
  await run('fsck.erofs', [`--extract=${out}`, bare()])
  const [before, after] = [await filesOf(source), await filesOf(out)]
  expect(before.size).toBe(packed.files)
  expect([...after].toSorted()).toEqual([...before].toSorted())
})

test('veritysetup computes the same root, and finds the tree behind the data', async () => {
  const blocks = dataBlocks(packed.bytes)!
  expect(blocks).toBeGreaterThan(128)
  const count = Buffer.alloc(8)
  count.writeBigUInt64BE(BigInt(blocks))
  const salt = createHash('sha256').update('sealed/weights/v1\0').update(count).digest('hex')
  const form = ['--no-superblock', '--hash=sha256', `--salt=${salt}`, `--data-blocks=${blocks}`]
  const offset = [`--hash-offset=${blocks * 4096}`]
  await run('veritysetup', ['verify', ...form, ...offset, bare(), bare(), packed.root_hash])
  const tree = join(directory, 'tree')
  const { stdout } = await run('veritysetup', ['format', ...form, bare(), tree])
  expect(stdout).toContain(packed.root_hash)
  const whole = await readFile(bare())
  expect(Buffer.compare(await readFile(tree), whole.subarray(blocks * 4096))).toBe(0)
})
