// Mutants: without the write before a part, what was set before one that fails is lost; without the one at its end,
// nothing is ever written; without `forgetMeta`, what was undone is believed.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { InlineStore, NO_STORE_FAULTS } from '../test-support/inline-store.ts'
import type { Closing, Step, Stepped } from './step.ts'

let directory: string
let store: InlineStore
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-meta-'))
  store = new InlineStore(join(directory, 'embassy.db'), { ...NO_STORE_FAULTS })
  await store.run('openLog', { origin: 'o', keySet: '' })
  await store.run('beginAnchors', { counter: 0n, chain: new Uint8Array(32) })
})
afterEach(async () => {
  await store.close()
  await rm(directory, { recursive: true })
})

const stepOf = (ids: string[]): Step => ({
  boot: { origin: 'o', akName: '', resetCount: 1, restartCount: 1 },
  openings: ids.map((id) => ({ id, statements: [], document: '' })),
  closings: [],
  checkpoint: false,
  kept: [],
  dropped: [],
})
const keys = () => store.rows<{ key: string }>('SELECT key FROM meta').map(({ key }) => key)

test('what was set before a part of a step that fails is written', async () => {
  // A log's first leaf sets the time; then a session is to end that is not open.
  const end: Closing['end'] = { kind: 'epoch', drafts: [] }
  const closings = [{ session: 'a', statements: [], end }]
  const { refused } = (await store.run('step', { ...stepOf([]), closings })) as Stepped
  expect(Object.keys(refused)).toEqual(['a'])
  expect(keys()).toContain('checkpoint.time')
})

test('what was set by a part that fails is not, nor believed', async () => {
  await store.run('step', stepOf(['a']))
  const before = store.rows('SELECT * FROM meta')
  const wrong = { ...stepOf(['b']), dropped: [{}] } as unknown as Step
  await expect(store.run('step', wrong)).rejects.toThrow()
  expect(store.rows('SELECT * FROM meta')).toEqual(before)
  await expect(store.run('beginAnchors', {} as never)).rejects.toThrow()
  expect(store.rows('SELECT * FROM meta')).toEqual(before)
  expect(await store.run('anchors', undefined)).toMatchObject({ counter: 0n })
})
