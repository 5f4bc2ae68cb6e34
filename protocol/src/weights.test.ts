// Weights volumes as files name them, and what a root hash stands for. The trees are held against veritysetup's, and
// against the kernel's on a booted machine, in test/. Mutants tried: a path that begins with another's name taken for one
// inside it; /usr open; `..` as a part; a tree without its upper levels; sizes of no volume rounded down; the number of
// blocks left out of the salt; a model's digest without its image, or with its roots in order of value.
import { describe, expect, it, test } from 'vitest'
import { concat, fromHex, sha256, sha256Hex, toHex, utf8 } from './bytes.ts'
import { parseWorkload } from './config.ts'
import { verityTree } from './image/verity.ts'
import { dataBlocks, modelDigest, treeBlocks, weightsSalt } from './weights.ts'

const [A, B] = ['aa'.repeat(32), 'bb'.repeat(32)]
const parse = (weights: unknown) =>
  parseWorkload(
    utf8(
      JSON.stringify({
        ...{ activations: 'none', egress: [], endpoints: ['/v1/x'], env: [], image: A },
        ...{ memory_bytes: 1 << 28, models: ['m'], name: 'm', pids: 8, port: 1 },
        ...{ prefix_cache: 'off', seal_policy: 'request', version: 1, weights },
      }),
    ),
  ).weights

describe('weights of a workload file', () => {
  it.each([
    '/models',
    '/root/.cache/huggingface',
    '/opt/a.b-c_d',
    '/usrs',
    '/data/tmp',
    '/a/b/c/d/e/f/g/h',
  ])('may stand at %s', (path) =>
    expect(parse([{ path, root_hash: A }])).toEqual([{ path, root_hash: A }]),
  )

  it.each([
    ...['/', '', 'models', '/models/', '//models', '/a//b', '/a/./b', '/a/../usr', '/..', '/a b'],
    ...['/a:ro', '/a,b', '/-a', '/a\n', `/${'a'.repeat(66)}`, '/a/b/c/d/e/f/g/h/i', '/é'],
  ])('may not stand at %j', (path) => {
    expect(() => parse([{ path, root_hash: A }])).toThrow(/weights\.0\.path: must be an absolute/)
  })

  it.each([
    ...['/activations', '/activations/x', '/tmp', '/proc/self', '/sys', '/dev/shm', '/run/x'],
    ...['/usr', '/usr/local/models', '/etc', '/lib', '/lib64', '/bin', '/sbin', '/boot'],
  ])('may not take the place of %s', (path) => {
    expect(() => parse([{ path, root_hash: A }])).toThrow(/weights\.0\.path: must lie outside/)
  })

  it('stand beside one another, each volume once', () => {
    const two = [
      { path: '/models', root_hash: A },
      { path: '/models-b', root_hash: B },
    ]
    expect(parse(two)).toEqual(two)
    for (const path of ['/models', '/models/b'])
      expect(() => parse([two[0], { path, root_hash: B }])).toThrow(/no path may lie within/)
    expect(() => parse([{ path: '/models/b', root_hash: B }, two[0]])).toThrow(/no path may lie/)
    expect(() => parse([two[0], { path: '/b', root_hash: A }])).toThrow(/each volume stands once/)
  })

  it.each([
    ['none of them', []],
    [
      'nine',
      Array.from({ length: 9 }, (_, i) => ({ path: `/${i}`, root_hash: `${i}a`.repeat(32) })),
    ],
    ['no root hash', [{ path: '/a' }]],
    ['a short one', [{ path: '/a', root_hash: 'ab' }]],
    ['one in capitals', [{ path: '/a', root_hash: 'AA'.repeat(32) }]],
    ['an unknown member', [{ path: '/a', root_hash: A, device: '/dev/sdb' }]],
    ['no list', { path: '/a', root_hash: A }],
  ])('are refused with %s', (_, weights) => {
    expect(() => parse(weights)).toThrow(expect.objectContaining({ code: 'config.invalid' }))
  })
})

describe('a volume', () => {
  test.each([
    [2, 1],
    [128, 1],
    [129, 3],
    [16_384, 129],
    [16_385, 132],
  ])('of %i blocks has %i of hashes, and is told by its size', async (blocks, tree) => {
    expect(treeBlocks(blocks)).toBe(tree)
    expect(dataBlocks((blocks + tree) * 4096)).toBe(blocks)
    const { levels } = await verityTree(
      async () => new Uint8Array(4096),
      blocks,
      new Uint8Array(32),
    )
    expect(levels.map(({ length }) => length).reduce((a, b) => a + b)).toBe(tree * 4096)
    expect(levels[0]).toHaveLength(4096)
  })

  test.each([
    ['nothing', 0],
    ['one block', 4096],
    ['two', 8192],
    ['no whole blocks', 3 * 4096 + 512],
    // A 130th block of data would need two more of hashes.
    ['129 and a single block of hashes', 130 * 4096],
    ['more than a file system has', 2 ** 32 * 4096 * 2],
  ])('is no size of %s', (_, bytes) => expect(dataBlocks(bytes)).toBeUndefined())

  test('whose tree is said to be deeper, or flatter, has another root', async () => {
    // Blocks that are hashes of blocks: at one depth they are data, at the next they are part of the tree.
    const inner = Array.from({ length: 256 }, (_, i) => new Uint8Array(4096).fill(i))
    const salt = await weightsSalt(inner.length)
    const { root, levels } = await verityTree(async (i) => inner[i]!, inner.length, salt)
    const outer = Array.from({ length: 2 }, (_, i) => levels[1]!.subarray(i * 4096, (i + 1) * 4096))
    const same = await verityTree(async (i) => outer[i]!, 2, salt)
    expect(same.root).toEqual(root)
    const own = await verityTree(async (i) => outer[i]!, 2, await weightsSalt(2))
    expect(own.root).not.toEqual(root)
  })

  test('has a salt that anybody can compute', async () => {
    const count = fromHex('0000000000000081')
    expect(await weightsSalt(129)).toEqual(await sha256(utf8('sealed/weights/v1\0'), count))
    expect(toHex(await weightsSalt(2 ** 32 - 1))).toMatch(/^[0-9a-f]{64}$/)
  })
})

test('a model is its image, and the volumes that are mounted into it, in their order', async () => {
  expect(await modelDigest(A)).toBe(A)
  expect(await modelDigest(A, [])).toBe(A)
  const text = concat(utf8('sealed/model/v1\0'), fromHex(A), fromHex(B))
  expect(await modelDigest(A, [B])).toBe(await sha256Hex(text))
  const all = [
    await modelDigest(A, [A, B]),
    await modelDigest(A, [B, A]),
    await modelDigest(B, [A]),
  ]
  expect(new Set(all).size).toBe(3)
})
