// An authority's meters summed up again from a real instance's log: leaves that the operator exports, openings that the
// authority reads, a checkpoint that an auditor kept. Whoever changes one of the three is found.
// Mutants: without `holdEntries` an altered leaf sums up all the same; without comparing the sums a lowered meter passes.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fetchCheckpoint, read, write } from '@sealed/client'
import { canonicalize, type LogEntry, parseLogEntry } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cli, createCli } from '../client/src/test-support/cli-double.ts'
import { CAPABILITY, SAMPLE } from './support/failing-session.ts'
import { CHAT, World } from './support/instance.ts'

let world: World
let cli: Cli
let entries: LogEntry[]

beforeAll(async () => {
  cli = await createCli()
  world = await World.start()
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority: authority! }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
  for (const prompt of [SAMPLE, 'What is a compiler?', SAMPLE]) await world.chat(prompt)
  const { reading } = await read(common)
  await save('readings.jsonl', `${canonicalize(reading)}\n`)
  const lowered = reading.meters.map((one) => ({ ...one, millionths: one.millionths - 1 }))
  await save('lowered.jsonl', `${canonicalize({ ...reading, meters: lowered })}\n`)
  const socket = join(world.instance.paths.runtime, 'embassy', 'admin.sock')
  const exported = await cli.run(['log', 'export', '--out', 'leaves.jsonl', '--socket', socket])
  expect(exported.exit).toBe(0)
  const lines = (await readFile(cli.path('leaves.jsonl'), 'utf8')).trimEnd().split('\n')
  entries = lines.map(parseLogEntry)
  await save('kept.txt', (await fetchCheckpoint(world.attested)).text)
})
afterAll(async () => {
  await world?.close()
  await cli?.remove()
})

const save = (name: string, text: string) => writeFile(cli.path(name), text)
const replay = (readings: string, leaves: string) =>
  cli.run([
    ...['log', 'replay', '--entries', leaves, '--readings', readings],
    ...['--checkpoint', 'kept.txt', '--json'],
  ])

test('the reading is the sum of what the log records, to the millionth', async () => {
  const { exit, out } = await replay('readings.jsonl', 'leaves.jsonl')
  const found = JSON.parse(out)
  expect(found.equal).toBe(true)
  const [{ meter, sum }] = found.meters
  expect(meter).toBe(sum)
  expect(meter).toBeGreaterThanOrEqual(2_000_000)
  expect(found.opened).toBe(found.changes)
  expect(exit).toBe(0)
})

test('a lowered meter is not', async () => {
  const { exit, out } = await replay('lowered.jsonl', 'leaves.jsonl')
  expect([exit, JSON.parse(out).equal]).toEqual([1, false])
})

test.each<[string, (all: LogEntry[]) => LogEntry[]]>([
  ['a leaf left out', (all) => all.toSpliced(2, 1)],
  [
    'a leaf altered',
    (all) =>
      all.with(2, { ...all[2]!, leaf: all[2]!.leaf.replace('"status":200', '"status":201') }),
  ],
])('with %s it is refused', async (_, change) => {
  const lines = change(entries).map((entry) => `${canonicalize(entry)}\n`)
  await save('changed.jsonl', lines.join(''))
  const { exit, out } = await replay('readings.jsonl', 'changed.jsonl')
  expect([exit, JSON.parse(out).error.code]).toEqual([1, 'log.damaged'])
})
