// Mutants: `runsc` taken with any arguments; either argument not asked for; one that is taken back by a later one, in any
// of the ways to write it; a runtime that is an inherited member of an object.
import { expect, test } from 'vitest'
import { type Runtimes, runtimeRefused } from './runtime.ts'

const args = ['--debug', '--network=host', '--dcache=0']
const engine = { runc: {}, runsc: { path: '/usr/bin/runsc', runtimeArgs: args } }

test.each(['runc', 'runsc'])('%s may be used', (wanted) => {
  expect(runtimeRefused(engine, wanted)).toBeUndefined()
})

test.each<[string, Runtimes[string]]>([
  ['it has no arguments', {}],
  ['the engine says none', { runtimeArgs: null }],
  ['it has a network stack of its own', { runtimeArgs: ['--network=sandbox', '--dcache=0'] }],
  ['it has a network stack of its own by default', { runtimeArgs: ['--dcache=0'] }],
  ...['--network=sandbox', '-network=none', '--network', '-network'].map(
    (later): [string, Runtimes[string]] => [
      `a later argument is ${later}`,
      { runtimeArgs: [...args, later] },
    ],
  ),
])('runsc may not where %s', (_, runsc) => {
  expect(runtimeRefused({ ...engine, runsc }, 'runsc')).toMatch(
    /is to be started with --network=host/,
  )
})

test.each([
  ['keeps removed files by default', ['--network=host']],
  ['keeps some of them', ['--network=host', '--dcache=64']],
  ['is told to after all', [...args, '-dcache=1000']],
])('runsc may not where it %s', (_, runtimeArgs) => {
  expect(runtimeRefused({ ...engine, runsc: { runtimeArgs } }, 'runsc')).toMatch(
    /is to be started with --dcache=0.*"runtimeArgs": \["--network=host","--dcache=0"\]/,
  )
})

test.each(['kata', 'toString'])('%s is not there', (wanted) => {
  expect(runtimeRefused(engine, wanted)).toMatch(/no runtime .*it has runc, runsc/)
})
