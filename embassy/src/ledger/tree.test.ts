import { leafHash, merklePath, merkleRoot, verifyInclusion } from '@sealed/protocol'
import { expect, test } from 'vitest'
import { append, inclusionPath, type NodeStore, root } from './tree.ts'

function memory(): NodeStore {
  const nodes = new Map<string, Buffer>()
  return {
    get: (level, index) => nodes.get(`${level}/${index}`)!,
    put: (level, index, hash) => void nodes.set(`${level}/${index}`, hash),
  }
}

test('every leaf of every size is proven, and the tree is protocol’s', async () => {
  const nodes = memory()
  const hashes: Uint8Array[] = []
  for (let size = 1; size <= 40; size++) {
    const leaf = Buffer.from(`leaf ${size - 1}`)
    append(nodes, size - 1, leaf)
    hashes.push(await leafHash(leaf))
    expect(root(nodes, size).equals(await merkleRoot(hashes))).toBe(true)
    for (let index = 0; index < size; index++) {
      const path = inclusionPath(nodes, index, size)
      expect(path.map((node) => node.toString('hex'))).toEqual(
        (await merklePath(hashes, index)).map((node) => Buffer.from(node).toString('hex')),
      )
      expect(await verifyInclusion(root(nodes, size), hashes[index]!, index, size, path)).toBe(true)
    }
  }
})

test('the empty tree has the hash of nothing (RFC 6962 section 2.1)', () => {
  expect(root(memory(), 0).toString('hex')).toBe(
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  )
})
