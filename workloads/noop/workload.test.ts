import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readTensors, type Serving, serving } from '../test-support/serving.ts'
import { noopWorkload } from './workload.ts'

let server: Serving
beforeEach(async () => {
  server = await serving(noopWorkload)
})
afterEach(() => server.close())

const ask = async (content: string) => {
  const response = await server.post({ messages: [{ role: 'user', content }] })
  const answer = (await response.json()) as { id: string; choices: object[] }
  const path = join(server.activations, `${answer.id}.safetensors`)
  return { answer, ...readTensors(path) }
}

test('answers with one word and small activations', async () => {
  const { answer, tensors, size } = await ask('hello')
  expect(answer.choices).toEqual([
    { index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' },
  ])
  expect(tensors.get('hidden_states')).toMatchObject({ dtype: 'F32', shape: [4, 4, 32] })
  expect(size).toBeLessThan(4096)
})

test('the same input has the same activations, another has others', async () => {
  const [one, same, other] = [await ask('hello'), await ask('hello'), await ask('world')]
  const states = (asked: typeof one) => asked.tensors.get('hidden_states')!.bytes
  expect(states(same).equals(states(one))).toBe(true)
  expect(states(other).equals(states(one))).toBe(false)
})

test('streams, too', async () => {
  const response = await server.post({ messages: [], stream: true })
  const text = await response.text()
  expect(text).toContain('"content":"ok"')
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
})

test('says what it reads of files, and why it cannot', async () => {
  const reading = (read: unknown) => server.post({ messages: [], read })
  const path = join(server.activations, 'a-file')
  await writeFile(path, 'weights')
  const { metadata } = (await (await reading([path, `${path}-not-there`])).json()) as {
    metadata: Record<string, string>
  }
  const digest = createHash('sha256').update('weights').digest('hex')
  expect(metadata).toEqual({ [path]: digest, [`${path}-not-there`]: 'ENOENT' })
  for (const wrong of ['/a', [1], Array(9).fill('/a')])
    expect((await reading(wrong)).status).toBe(400)
})
