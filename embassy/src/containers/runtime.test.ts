// Mutants: `runsc` taken with any arguments; a runtime that is an inherited member of an object.
import { expect, test } from 'vitest'
import { runtimeRefused } from './runtime.ts'

const engine = {
  runc: {},
  runsc: { path: '/usr/bin/runsc', runtimeArgs: ['--debug', '--network=host'] },
}

test.each(['runc', 'runsc'])('%s may be used', (wanted) => {
  expect(runtimeRefused(engine, wanted)).toBeUndefined()
})

test.each([
  ['it has no arguments', {}],
  ['the engine says none', { runtimeArgs: null }],
  ['it has a network stack of its own', { runtimeArgs: ['--network=sandbox'] }],
])('runsc may not where %s', (_, runsc) => {
  expect(runtimeRefused({ ...engine, runsc }, 'runsc')).toMatch(/--network=host/)
})

test.each(['kata', 'toString'])('%s is not there', (wanted) => {
  expect(runtimeRefused(engine, wanted)).toMatch(/no runtime .*it has runc, runsc/)
})
