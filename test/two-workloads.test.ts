// One machine with two workloads, each with its own replica: a request reaches the one that serves its model, at both
// doors, the receipt says which, and neither waits for the other. Mutants: the first workload for whatever model;
// the attested configuration's models those of the first.
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSealedFetch, verdictOf } from '@sealed/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type InstanceOptions, writeFiles } from '../scripts/instance/files.ts'
import { buildImage } from '../scripts/instance/images.ts'
import { CHAT, statementOf, World } from './support/instance.ts'

/** Model and workload of the real model's; the other's are both `noop`. */
const [DEMO, REFERENCE] = ['sealed-demo', 'reference'] as const

/** Writes the files of an operator who adds the real model to a machine with the no-op workload. */
const both: InstanceOptions['launch'] = async (paths, sealing) => {
  await writeFiles(paths, { workload: 'noop' }, await buildImage('noop', paths.images), sealing)
  const image = await buildImage(REFERENCE, paths.images)
  const read = async (path: string) =>
    JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown> & { workloads: unknown[] }
  const noop = await read(paths.workload)
  const reference = { ...noop, image: image.id, models: [DEMO], name: REFERENCE }
  const text = JSON.stringify(reference)
  const file = join(paths.state, 'second.json')
  await writeFile(file, text)
  for (const [path, more] of [
    [paths.config, { archive: image.archive, file, replicas: 1 }],
    [paths.policy, createHash('sha256').update(text).digest('hex')],
  ] as const) {
    const written = await read(path)
    await writeFile(path, JSON.stringify({ ...written, workloads: [...written.workloads, more] }))
  }
}

let world: World
beforeAll(async () => {
  world = await World.start({ launch: both })
})
afterAll(() => world?.close())

const bodyOf = (model: string, more: object = {}) =>
  JSON.stringify({ model, messages: [{ role: 'user', content: 'What is a horse?' }], ...more })
const askedOf = (receipt: string) => statementOf(receipt, 'request.received').workload
const cases = [
  ['noop', 'noop'],
  [DEMO, REFERENCE],
] as const

describe('two workloads on one machine', () => {
  test('are both listed, by their models', async () => {
    const { data } = JSON.parse((await world.send('/v1/models')).text)
    const listed = data.map(({ id, owned_by }: Record<string, string>) => [id, owned_by])
    expect(listed).toEqual(cases)
  })

  test.each(cases)('the plain door asks for %s the workload %s', async (model, workload) => {
    const { status, receipt, text } = await world.chat('What is a horse?', { model })
    expect([status, JSON.parse(text).model]).toEqual([200, model])
    expect(askedOf(receipt!)).toBe(workload)
  })

  test.each(cases)('a sealed fetch asks for %s the workload %s', async (model, workload) => {
    const receipts: (string | undefined)[] = []
    const sealed = createSealedFetch({
      gateway: world.url,
      policy: await world.policy(),
      onVerdict: (_, { receipt }) => receipts.push(receipt),
    })
    const response = await sealed(world.url + CHAT, { method: 'POST', body: bodyOf(model) })
    expect([response.status, (await response.json()).model]).toEqual([200, model])
    expect((await verdictOf(response)).outcome).toBe('verified')
    expect(receipts.map((receipt) => askedOf(receipt!))).toEqual([workload])
  })

  test('neither waits for the other', async () => {
    const left = new AbortController()
    const held = await fetch(world.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: bodyOf('noop', { stream: true, chunks: 600, every_ms: 100 }),
      signal: left.signal,
    })
    expect(held.status).toBe(200)
    const { status, receipt } = await world.chat('What is a horse?', { model: DEMO })
    expect([status, askedOf(receipt!)]).toEqual([200, REFERENCE])
    left.abort()
    await expect(held.text()).rejects.toThrow()
  })

  test('each session’s model is that of its own workload', async () => {
    const models = await Promise.all(
      cases.map(async ([model]) => {
        const { receipt } = await world.chat('What is a horse?', { model })
        return statementOf(receipt!, 'activations.observed').model
      }),
    )
    expect(new Set(models).size).toBe(2)
  })
})
