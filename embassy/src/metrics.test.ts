// Mutants: a step timed though it failed; `starting` without its bound; the TPM's failures not counted; each `time(…)` in
// ledger, fleet, pool and judge dropped; `#seal` timed where probes seal.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createMetrics, type WorkloadState } from './metrics.ts'
import { relayCalls } from './server/relay-calls.ts'
import { EmbassyWorld, newMachine } from './test-support/embassy-world.ts'
import { FakeTpm } from './test-support/fake-tpm.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'metrics-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const states: WorkloadState[] = [{ name: 'w', replicas: 3, ready: 2, idle: 1, waiting: 4 }]
const make = () => createMetrics({ workloads: () => states, ready: () => true })
const valueIn = (text: string, series: string) => {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

describe('metrics', () => {
  it('time every step of a session, through the relay’s calls', async () => {
    const metrics = make()
    const tpm = new FakeTpm()
    const machine = await newMachine(directory, tpm)
    const world = new EmbassyWorld(machine, undefined, undefined, { steps: metrics.steps })
    await world.start()
    const calls = relayCalls(world.sessions, metrics.steps)
    const session = 'ab'.repeat(16)
    const opened = await calls.open('', {
      caller: 'secret-caller',
      door: 'plain',
      endpoint: '/v1/chat/completions',
      input_sha256: 'ab'.repeat(32),
      session,
      workload: 'w',
    })
    const { revealed } = opened as { revealed: { address: string } }
    world.handOver(revealed.address, [1, 0])
    const commit = { output_bytes: 1, output_sha256: 'ab'.repeat(32), status: 200 }
    await calls.commit(session, commit)
    const text = await metrics.text()
    for (const step of [
      'admission',
      'wait',
      'seal',
      'opening',
      'workload',
      'activations',
      'commit',
      'release',
    ])
      expect(valueIn(text, `sealed_step_seconds_count{step="${step}"}`), step).toBe(1)
    expect(valueIn(text, 'sealed_ledger_batch_size_count{kind="openings"}')).toBe(1)
    expect(valueIn(text, 'sealed_ledger_batch_size_sum{kind="closings"}')).toBe(1)
    expect(text).not.toContain('secret-caller')
    expect(text).not.toContain(session)
    await world.stop()
  })

  it('count aborts by the reason in their receipts, and steps that failed', async () => {
    const metrics = make()
    const machine = await newMachine(directory, new FakeTpm())
    const world = new EmbassyWorld(machine, undefined, undefined, { steps: metrics.steps })
    await world.start()
    const { id } = await world.begin()
    await world.sessions.abort(id, { output_bytes: 0, reason: 'client.gone' })
    const late = await world.begin()
    await expect(world.commit(late.id)).rejects.toMatchObject({ code: 'activations.missing' })
    const text = await metrics.text()
    expect(valueIn(text, 'sealed_aborts_total{reason="client.gone"}')).toBe(1)
    expect(valueIn(text, 'sealed_aborts_total{reason="activations.missing"}')).toBe(1)
    expect(valueIn(text, 'sealed_aborts_total{reason="seal.breached"}')).toBe(0)
    expect(valueIn(text, 'sealed_step_failures_total{step="activations"}')).toBe(1)
    expect(valueIn(text, 'sealed_step_seconds_count{step="activations"}')).toBeUndefined()
    await world.stop()
  })

  it('show replicas by state, the queue, and whether anything is served', async () => {
    const text = await make().text()
    expect(valueIn(text, 'sealed_replicas{workload="w",state="idle"}')).toBe(1)
    expect(valueIn(text, 'sealed_replicas{workload="w",state="busy"}')).toBe(1)
    expect(valueIn(text, 'sealed_replicas{workload="w",state="starting"}')).toBe(1)
    expect(valueIn(text, 'sealed_queue_length{workload="w"}')).toBe(4)
    expect(valueIn(text, 'sealed_ready')).toBe(1)
    expect(text).toMatch(/^sealed_embassy_process_resident_memory_bytes \d+$/m)
  })

  it('time the TPM’s commands and count those that fail, and change nothing of them', async () => {
    const metrics = make()
    const tpm = new FakeTpm()
    const measured = metrics.measured(tpm)
    expect((await measured.clock()).resetCount).toBe((await tpm.clock()).resetCount)
    expect(measured.ak).toBe(tpm.ak)
    tpm.failAt = 0
    await expect(measured.clock()).rejects.toThrow()
    const text = await metrics.text()
    expect(valueIn(text, 'sealed_tpm_command_seconds_count{command="read_clock"}')).toBe(1)
    expect(valueIn(text, 'sealed_tpm_failures_total{command="read_clock"}')).toBe(1)
  })
})
