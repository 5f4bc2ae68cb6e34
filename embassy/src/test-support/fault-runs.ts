// Runs in which the k-th thing fails, for every k: each on a copy of one machine, one life with the fault and one after
// it, or the one in which it was killed and two after it.
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { extend } from '../store/stamp.ts'
import {
  capabilityOf,
  databaseOf,
  EmbassyWorld,
  type Faults,
  type Machine,
  NO_FAULTS,
  newMachine,
} from './embassy-world.ts'
import { FakeTpm } from './fake-tpm.ts'
import { NO_STORE_FAULTS } from './inline-store.ts'
import { closingOf, OPENING } from './ledger-world.ts'
import { Seen } from './seen.ts'

/** Runs side by side: each mostly waits for a retry. */
const ABREAST = 32
const PAGE = 4096

type Arm = (k: number, faults: Faults, tpm: FakeTpm) => unknown

/** What fails, how many k at least meet it, and how it is told to. */
export const ARMS: [string, number, Arm][] = [
  ['of the TPM', 10, (k, _, tpm) => Object.assign(tpm, { failAt: k })],
  ['of the firewall', 10, (k, faults) => Object.assign(faults, { seal: k })],
  ['of the container engine', 4, (k, faults) => Object.assign(faults, { containers: k })],
  ['of the database: not made', 10, (k, { store }) => Object.assign(store, { call: k })],
  ['of the database: its answer lost', 10, (k, { store }) => Object.assign(store, { answer: k })],
  ['of SQLite', 100, (k, { store }) => Object.assign(store, { statement: k })],
  ['of any of them, and it is killed', 50, (k, faults) => Object.assign(faults, { effects: k })],
]

export interface Scenario {
  /** Sessions that overlap share an epoch. */
  epoch?: { max_ms: number; sessions: number }
  /** What is asked of an embassy while something may fail. */
  ask(world: EmbassyWorld): Promise<PromiseSettledResult<unknown>[]>
  /** Brings it to rest, and holds everything against what must always be so. */
  check(world: EmbassyWorld): Promise<unknown>
}

export class FaultRuns {
  readonly #root: string
  /** A machine whose log has begun and whose registry has one signature: runs start from copies. */
  readonly #template: Machine
  readonly #scenario: Scenario

  private constructor(root: string, template: Machine, scenario: Scenario) {
    this.#root = root
    this.#template = template
    this.#scenario = scenario
  }

  static async make(scenario: Scenario): Promise<FaultRuns> {
    const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
    const root = await mkdtemp(join(place, 'sealed-faults-'))
    const template = await newMachine(await mkdtemp(join(root, 'template-')), new FakeTpm())
    const world = new EmbassyWorld(template)
    await world.ledger.start()
    const id = '00'.repeat(16)
    const statements = extend([], [{ ...OPENING[0]!, operation: 'write' }, ...OPENING.slice(1)])
    await world.ledger.open({ id, statements, document: 'ab'.repeat(32) })
    const written = closingOf(id, statements, [1, 0], capabilityOf(template))
    const observation = { model: 'cd'.repeat(32), vector: Float32Array.of(1, 0) }
    const end = { ...written.end, observation } as typeof written.end
    await world.ledger.close({ ...written, end })
    await world.ledger.stop()
    await world.inline.close()
    return new FaultRuns(root, template, scenario)
  }

  close(): Promise<void> {
    // A process that was left behind by a failure may still write there.
    return rm(this.#root, { recursive: true, maxRetries: 3 })
  }

  async copy(): Promise<Machine> {
    const directory = await mkdtemp(join(this.#root, 'run-'))
    const machine = { ...this.#template, directory, seen: new Seen(), tpm: new FakeTpm() }
    await copyFile(databaseOf(this.#template), databaseOf(machine))
    const { chain, value } = this.#template.tpm
    Object.assign(machine.tpm, { chain, value })
    return machine
  }

  /** Runs k = 0, 1, … until one meets no failure any more; how many met one. */
  async forAllK(arm: Arm): Promise<number> {
    for (let first = 0; ; first += ABREAST) {
      const runs = Array.from({ length: ABREAST }, async (_, i) => {
        const k = first + i
        return this.#run((faults, tpm) => arm(k, faults, tpm)).catch((cause: unknown) => {
          throw new Error(`k = ${k}: ${(cause as Error).message}`, { cause })
        })
      })
      const failed = await Promise.all(runs)
      const clean = failed.indexOf(false)
      if (clean >= 0) return first + clean
    }
  }

  /** For the disk that is full at every size. */
  async forAllPages(): Promise<number> {
    const pages = Math.ceil((await stat(databaseOf(this.#template))).size / PAGE)
    return this.forAllK((k, { store }) => Object.assign(store, { pages: pages + k }))
  }

  /** Says whether anything failed. */
  async #run(arm: (faults: Faults, tpm: FakeTpm) => void): Promise<boolean> {
    const { ask, check } = this.#scenario
    const machine = await this.copy()
    const faults = { ...NO_FAULTS, store: { ...NO_STORE_FAULTS } }
    arm(faults, machine.tpm)
    const { epoch } = this.#scenario
    const given = epoch ? { epoch } : {}
    let world = new EmbassyWorld(machine, faults, undefined, given)
    const next = async () => {
      world.mend()
      await (world.life.isOver ? world.bury() : world.stop())
      world = new EmbassyWorld(machine, undefined, undefined, given)
      await world.start()
    }
    let failed = false
    const begun = world.start().catch(() => 'failed' as const)
    if ((await Promise.race([begun, world.life.over])) !== undefined) {
      // The process ends, and another one is started when the fault is gone.
      failed = true
      await next()
    }
    const outcomes = await Promise.race([ask(world), world.life.over])
    if (outcomes === 'over') {
      failed = true
      await next()
    } else failed ||= outcomes.some(({ status }) => status === 'rejected')
    failed ||= world.hasFailed
    world.mend()
    await check(world)
    await next()
    await check(world)
    await world.stop()
    await rm(machine.directory, { recursive: true })
    return failed
  }
}
