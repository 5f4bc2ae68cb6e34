// The embassy's Prometheus metrics. Labels come from fixed sets and the configuration; what is counted are times, sizes
// of queues and numbers of things, never what a session holds or who asked for it.
import { ABORT_REASONS } from '@sealed/protocol'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { STEPS, type Steps } from './steps.ts'
import type { Tpm } from './tpm/index.ts'

const SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  30, 60, 120,
]
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

/** How often the event loop's delay is looked at: each look wakes the process. */
const LOOP_MS = 100

/** One workload as it is now. */
export interface WorkloadState {
  name: string
  replicas: number
  ready: number
  idle: number
  waiting: number
}

/** `workloads` and `ready` are asked when metrics are read. */
export function createMetrics(of: { workloads: () => WorkloadState[]; ready: () => boolean }) {
  const registry = new Registry()
  const registers = [registry]
  const seconds = new Histogram({
    name: 'sealed_step_seconds',
    help: 'Steps of sessions that succeeded.',
    labelNames: ['step'],
    buckets: SECONDS,
    registers,
  })
  const failures = new Counter({
    name: 'sealed_step_failures_total',
    help: 'Steps of sessions that failed.',
    labelNames: ['step'],
    registers,
  })
  const aborts = new Counter({
    name: 'sealed_aborts_total',
    help: 'Sessions that ended after the reveal without an output, by the reason in their receipts.',
    labelNames: ['reason'],
    registers,
  })
  const batches = new Histogram({
    name: 'sealed_ledger_batch_size',
    help: 'Sessions that began, or ended, in one step of the ledger that took in any.',
    labelNames: ['kind'],
    buckets: SIZES,
    registers,
  })
  const commands = new Histogram({
    name: 'sealed_tpm_command_seconds',
    help: 'TPM commands, with the wait for the one before.',
    labelNames: ['command'],
    buckets: SECONDS,
    registers,
  })
  const refused = new Counter({
    name: 'sealed_tpm_failures_total',
    help: 'TPM commands that failed.',
    labelNames: ['command'],
    registers,
  })
  new Gauge({
    name: 'sealed_replicas',
    help: 'Replicas by state: idle, busy, or starting (also: being replaced).',
    labelNames: ['workload', 'state'],
    registers,
    collect() {
      for (const { name: workload, idle, ready, replicas } of of.workloads()) {
        this.set({ workload, state: 'idle' }, idle)
        this.set({ workload, state: 'busy' }, Math.max(0, ready - idle))
        this.set({ workload, state: 'starting' }, Math.max(0, replicas - ready))
      }
    },
  })
  new Gauge({
    name: 'sealed_queue_length',
    help: 'Sessions that wait for a replica.',
    labelNames: ['workload'],
    registers,
    collect() {
      for (const { name: workload, waiting } of of.workloads()) this.set({ workload }, waiting)
    },
  })
  new Gauge({
    name: 'sealed_ready',
    help: 'Whether sessions would be begun now.',
    registers,
    collect() {
      this.set(of.ready() ? 1 : 0)
    },
  })
  collectDefaultMetrics({
    register: registry,
    prefix: 'sealed_embassy_',
    eventLoopMonitoringPrecision: LOOP_MS,
  })
  // So that a rate over them has a beginning.
  for (const step of STEPS) failures.inc({ step }, 0)
  for (const reason of ABORT_REASONS) aborts.inc({ reason }, 0)
  const timed = async <T>(
    into: Histogram,
    failed: Counter,
    labels: object,
    work: () => Promise<T>,
  ) => {
    const begun = performance.now()
    try {
      const value = await work()
      into.observe(labels, (performance.now() - begun) / 1_000)
      return value
    } catch (error) {
      failed.inc(labels)
      throw error
    }
  }
  const steps: Steps = {
    time: (step, work) => timed(seconds, failures, { step }, work),
    spent: (step, ms) => seconds.observe({ step }, ms / 1_000),
    aborted: (reason) => aborts.inc({ reason }),
    batch(openings, closings) {
      if (openings > 0) batches.observe({ kind: 'openings' }, openings)
      if (closings > 0) batches.observe({ kind: 'closings' }, closings)
    },
  }
  /** The same TPM, its commands timed. */
  const measured = (tpm: Tpm): Tpm => {
    const time =
      <A extends unknown[], T>(command: string, call: (...args: A) => Promise<T>) =>
      (...args: A) =>
        timed(commands, refused, { command }, () => call(...args))
    return {
      ak: tpm.ak,
      quote: time('quote', tpm.quote.bind(tpm)),
      extend: time('extend', tpm.extend.bind(tpm)),
      readPcrs: time('read_pcrs', tpm.readPcrs.bind(tpm)),
      clock: time('read_clock', tpm.clock.bind(tpm)),
      counter: {
        define: time('define_counter', tpm.counter.define.bind(tpm.counter)),
        increment: time('increment_counter', tpm.counter.increment.bind(tpm.counter)),
        read: time('read_counter', tpm.counter.read.bind(tpm.counter)),
      },
      defineExtendNv: time('define_chain', tpm.defineExtendNv.bind(tpm)),
      extendNv: time('extend_chain', tpm.extendNv.bind(tpm)),
      readNv: time('read_chain', tpm.readNv.bind(tpm)),
      close: () => tpm.close(),
    }
  }
  return { steps, measured, text: () => registry.metrics() }
}

export type Metrics = ReturnType<typeof createMetrics>
