// Mutant: without the throw in `runBatch` the third document is on disk, although its caller was told that it is not.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { InlineStore, NO_STORE_FAULTS } from '../test-support/inline-store.ts'

test('a batch that SQLite undid half way leaves nothing, and says so to everyone in it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-batch-'))
  const faults = { ...NO_STORE_FAULTS, statement: 1 }
  const inline = new InlineStore(join(directory, 'embassy.db'), faults)
  const keep = (digest: string) => inline.run('keepDocument', { digest, document: '{}' })
  const answers = await Promise.allSettled(['a', 'b', 'c'].map(keep))
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  expect(inline.rows('SELECT digest FROM documents')).toEqual([])
  await keep('d')
  expect(inline.rows('SELECT digest FROM documents')).toEqual([{ digest: 'd' }])
  await inline.close()
  await rm(directory, { recursive: true })
})
