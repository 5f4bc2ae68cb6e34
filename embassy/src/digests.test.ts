import * as protocol from '@sealed/protocol'
import { expect, test } from 'vitest'
import { contentDigest, saltedDigest, sha256, sha256Hex } from './digests.ts'

test('are those of protocol', async () => {
  const [salt, content] = [protocol.randomBytes(32), protocol.utf8('content')]
  expect(new Uint8Array(sha256(content))).toEqual(await protocol.sha256(content))
  expect(sha256Hex('content')).toBe(await protocol.sha256Hex(content))
  expect(contentDigest(salt, sha256(content))).toBe(
    await protocol.contentDigest(salt, await protocol.sha256(content)),
  )
  expect(saltedDigest(salt, content)).toBe(await protocol.saltedDigest(salt, content))
})
