import { expect, test } from 'vitest'
import { workloadFor } from './models.ts'

const workloads = [
  { name: 'small', models: ['llama', 'large'] },
  { name: 'large', models: ['llama', 'qwen'] },
]

test.each([
  ['of several that serve a model the first', 'llama', 'small'],
  ['one by a model that it alone serves', 'qwen', 'large'],
  ['one that serves the model before one of that name', 'large', 'small'],
  ['one by its name where nobody serves such a model', 'small', 'small'],
])('finds %s', (_, model, name) => {
  expect(workloadFor(workloads, model).name).toBe(name)
})

test('finds the only one where the document is of a version that says no models', () => {
  const old = [{ name: 'small' }, { name: 'large' }]
  expect(workloadFor(old.slice(0, 1), 'llama').name).toBe('small')
  expect(workloadFor(old, 'large').name).toBe('large')
  expect(() => workloadFor(old, 'llama')).toThrow(/no workload/)
})

test.each(['gpt-0', '', 'x'.repeat(10_000)])(
  'puts no other in place of one that is not there',
  (model) => {
    const find = () => workloadFor(workloads, model)
    expect(find).toThrow(
      `no workload here serves the model ${JSON.stringify(model.slice(0, 128))};`,
    )
    expect(find).toThrow(expect.objectContaining({ code: 'workload.unknown', param: 'model' }))
    expect(() => workloadFor(workloads.slice(0, 1), model)).toThrow(/no workload/)
  },
)
