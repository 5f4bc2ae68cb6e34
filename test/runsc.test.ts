// A workload that gVisor's runsc runs, on a whole instance beside an engine of its own: its sessions are sealed, metered
// and proven as any other's, and its egress list is open between them and only then.
// What cannot get out of such a container is in runsc-escape.test.ts; which engines are refused, in
// embassy/src/containers/runtime.test.ts.
// Mutants: `runtime` left out in place.ts, or `Runtime` in hardening.ts; `docker_socket` left out in machine.ts; the
// release after a session left out in fleet.ts.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { unspliceEvents } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createContainers } from '../embassy/src/containers/index.ts'
import { type Outside, startOutside } from '../scripts/world/outside.ts'
import { CHAT, eventually, statementOf, typesOf, World } from './support/instance.ts'
import { Machine } from './support/machine.ts'
import { type OwnEngine, RUNSC, startEngine } from './support/own-engine.ts'

let engine: OwnEngine
let outside: Outside
let world: World
let machine: Machine
beforeAll(async () => {
  engine = await startEngine({ runsc: RUNSC })
  outside = await startOutside({ id: 'runsc' })
  const { address4, address6, ports } = outside
  world = await World.start({
    ...{ workload: 'noop', runtime: 'runsc', dockerSocket: engine.socketPath },
    egress: [{ address: address4, protocol: 'tcp', port: ports.tcp }],
    env: { PROBE_TARGETS: `tcp:${address4}:${ports.tcp},tcp:[${address6}]:${ports.tcp}` },
  })
  machine = new Machine(world)
})
afterAll(async () => {
  await world?.close()
  await outside?.stop()
  await engine?.stop()
})

/** What the workload says of its attempts to reach the outside, from a verified answer. */
async function attempts(): Promise<Record<string, string>> {
  const { output, verdict } = await world.ask('can you get out')
  expect(verdict.outcome).toBe('verified')
  return (JSON.parse(new TextDecoder().decode(output)) as { metadata: Record<string, string> })
    .metadata
}

test('an envelope’s session is sealed and metered, and its receipt verifies', async () => {
  const { receipt, verdict } = await world.ask('hello')
  expect(verdict.outcome).toBe('verified')
  expect(typesOf(receipt)).toEqual([
    ...['request.received', 'seal.enforced', 'input_key.revealed', 'activations.observed'],
    ...['registry.applied', 'seal.checked', 'output.committed', 'seal.released'],
    'response.released',
  ])
  expect(statementOf(receipt, 'seal.enforced').probes).toMatchObject({ reached: 0 })
  expect(statementOf(receipt, 'seal.enforced').probes.blocked).toBeGreaterThan(0)
})

test('so is a streamed one at the plain door', async () => {
  const response = await fetch(world.url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: world.body('hello', { stream: true, chunks: 5, every_ms: 5 }),
  })
  const { receipt } = unspliceEvents(new Uint8Array(await response.arrayBuffer()))!
  expect(typesOf(receipt)).toContain('activations.observed')
  expect(typesOf(receipt).at(-1)).toBe('response.released')
})

test('the file that names the runtime is the one that was measured, and the container runs in it', async () => {
  const file = await readFile(world.instance.paths.workload)
  expect(JSON.parse(file.toString())).toMatchObject({ runtime: 'runsc' })
  const digest = createHash('sha256').update(file).digest('hex')
  expect(world.attested.document.configuration.workloads).toMatchObject([{ digest }])
  const { HostConfig, State } = await engine.docker.getContainer(machine.container()).inspect()
  expect(HostConfig.Runtime).toBe('runsc')
  expect(await readFile(`/proc/${State.Pid}/cmdline`, 'utf8')).toMatch(/^runsc-sandbox\0/)
})

test('its egress list is open between sessions, and nothing is while one is sealed', async () => {
  const { address4, address6, ports } = outside
  const [listed, other] = [`${address4}:${ports.tcp}`, `[${address6}]:${ports.tcp}`]
  const seen = await eventually('an attempt between two sessions that reached the outside', () =>
    attempts().then((found) => (found[`idle_${listed}`] === 'reached' ? found : undefined)),
  )
  expect(seen[`reach_${listed}`]).toMatch(/^refused: ECONNREFUSED/)
  expect(seen[`reach_${other}`]).toMatch(/^refused: /)
  expect(seen[`idle_${other}`]).toMatch(/^refused: /)
  const heard = await outside.received()
  expect(heard.some((line) => line.startsWith('packets tcp 198.18.'))).toBe(true)
  expect(heard.filter((line) => /^packets tcp .*:.*: /.test(line))).toEqual([])
})

test('a sandbox that is killed is a lost replica, and the next one is as good', async () => {
  const before = statementOf((await world.serving()).receipt!, 'seal.enforced')
  const reborn = await machine.watch(0, 'workload', 'reborn')
  await machine.kill(await machine.workloadPid())
  await reborn()
  const after = statementOf((await world.serving()).receipt!, 'seal.enforced')
  expect(after.generation).toBe(before.generation + 1)
  expect(await attempts()).toMatchObject({
    [`reach_${outside.address4}:80`]: expect.stringMatching(/^refused/),
  })
})

test('an engine whose runsc has a network of its own is refused by name before anything is made', async () => {
  const other = await startEngine({ runsc: { path: 'runsc', runtimeArgs: ['--dcache=0'] } })
  try {
    const spec = {
      ...{ name: 'w', image: '00'.repeat(32), instance: 'e5ca', pause: 'p', env: [] },
      ...{ memoryBytes: 1 << 28, pids: 128 },
    }
    const start = createContainers(other.socketPath).startWorkload({ ...spec, runtime: 'runsc' })
    await expect(start).rejects.toThrow(/^runsc is to be started with --network=host/)
  } finally {
    await other.stop()
  }
})
