// A ledger on a real database file and a scripted TPM, and sessions to close into it.
import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  parseReading,
  type Reading,
  randomBytes,
  type SealedError,
  type Statement,
} from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import { ledgerKey } from '../keys/ledger-key.ts'
import { FileFlag } from '../ledger/flag.ts'
import { Ledger } from '../ledger/ledger.ts'
import { type Draft, extend } from '../store/stamp.ts'
import type { Closing } from '../store/step.ts'
import { Store } from '../store/store.ts'
import { FakeTpm } from './fake-tpm.ts'

const DIGEST = 'ab'.repeat(32)
export const MODEL = 'cd'.repeat(32)
const seal = { dropped_packets: 0, rejected_packets: 0, ruleset_digest: DIGEST }

export const OPENING: Draft[] = [
  {
    type: 'request.received',
    caller: DIGEST,
    door: 'plain',
    endpoint: '/v1/chat/completions',
    input_digest: DIGEST,
    operation: 'update',
    workload: 'noop',
    workload_digest: DIGEST,
  },
  {
    type: 'seal.enforced',
    ...seal,
    egress_open_ms: 0,
    generation: 0,
    image: DIGEST,
    policy: 'request',
    probes: { age_ms: 0, blocked: 1, reached: 0 },
    replica: 0,
    sessions_before: 0,
    sessions_overlapping: 0,
    tenants: 1,
  },
  { type: 'input_key.revealed', to: 'relay' },
]

/** A closing that uses `vector`, or writes it as a signature of `capability`. */
export function closingOf(
  session: string,
  statements: Statement[],
  vector: number[],
  capability?: string,
): Closing {
  const observed: Draft = {
    type: 'activations.observed',
    content_digest: DIGEST,
    hidden: vector.length,
    layers: 1,
    model: MODEL,
    tokens: 1,
  }
  return {
    session,
    statements: extend(statements, [observed]),
    end: {
      kind: 'commit',
      action: capability ? { type: 'write', capability, polarity: 'positive' } : { type: 'update' },
      ...(capability && { capability }),
      attribution: 'cosine-max-1',
      observation: { model: MODEL, vector: Float32Array.from(vector) },
      outputBytes: 1,
      after: [
        { type: 'seal.checked', ...seal },
        { type: 'output.committed', output_bytes: 1, output_digest: DIGEST, status: 200 },
        { type: 'seal.released', sealed_us: '1' },
        { type: 'response.released', to: 'gateway' },
      ],
    },
  }
}

export class LedgerWorld {
  readonly directory: string
  readonly path: string
  readonly tpm = new FakeTpm()
  readonly fatal: SealedError[] = []
  begun: FileFlag
  /** Called after each checkpoint. */
  onCheckpoint = () => {}
  #key = ledgerKey(generateKeyPairSync('ed25519').privateKey)
  #k = randomBytes(32)
  store: Store
  ledger: Ledger
  #stopped = false

  private constructor(directory: string) {
    this.directory = directory
    this.path = join(directory, 'embassy.db')
    this.begun = this.#flag()
    this.store = new Store(this.path)
    this.ledger = this.#ledger()
  }

  /** One that no earlier boot has set. */
  #flag = () => new FileFlag(join(this.directory, `begun-${this.origin.slice(7)}`))

  static async make(): Promise<LedgerWorld> {
    // In memory where there is such a place: these tests are about what is written, not about how fast a disk is.
    const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
    return new LedgerWorld(await mkdtemp(join(place, 'sealed-ledger-')))
  }

  get origin(): string {
    return `sealed/${Buffer.from(this.#k).toString('hex').slice(0, 16)}`
  }

  get publicKey(): Uint8Array {
    return this.#key.publicKey
  }

  #ledger(): Ledger {
    const boot = {
      origin: this.origin,
      akName: `000b${DIGEST}`,
      resetCount: this.tpm.resetCount,
      restartCount: 0,
    }
    return new Ledger({
      store: this.store,
      tpm: this.tpm,
      key: this.#key,
      keySetDigest: this.#k,
      boot,
      begun: this.begun,
      restored: new FileFlag(`${this.path}.restored`),
      onCheckpoint: () => this.onCheckpoint(),
      onFatal: (error) => void this.fatal.push(error),
    })
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    await this.ledger.stop()
    await this.store.close()
  }

  /** What is on disk once the embassy has stopped; it is started again by whoever asked. */
  async rows<T>(sql: string): Promise<T[]> {
    await this.stop()
    const db = new Sqlite(this.path, { readonly: true })
    try {
      return db.prepare(sql).all() as T[]
    } finally {
      db.close()
      await this.restart()
    }
  }

  /** Stops, and remembers file and TPM as they are; what is returned goes back to them, any number of times. */
  async remember(): Promise<() => Promise<void>> {
    await this.stop()
    const file = await readFile(this.path)
    const { chain, value } = this.tpm
    return async () => {
      await this.stop()
      await writeFile(this.path, file)
      Object.assign(this.tpm, { chain, value })
      await this.restart()
    }
  }

  /** Changes the database of a stopped embassy, as one who has the disk can, and makes it ready to start again. */
  async alter(...sql: string[]): Promise<void> {
    await this.stop()
    const db = new Sqlite(this.path)
    try {
      for (const one of sql) db.exec(one)
    } finally {
      db.close()
    }
    await this.restart()
  }

  /** As after a stop and a start: the same file, the same TPM. */
  async restart(): Promise<void> {
    await this.stop()
    this.store = new Store(this.path)
    this.ledger = this.#ledger()
    this.#stopped = false
  }

  /** As after a reboot: the TPM was reset, the keys are new. */
  async reboot(): Promise<void> {
    this.tpm.resetCount += 1
    this.#k = randomBytes(32)
    this.#key = ledgerKey(generateKeyPairSync('ed25519').privateKey)
    this.begun = this.#flag()
    await this.restart()
  }

  async open(
    id = Buffer.from(randomBytes(16)).toString('hex'),
  ): Promise<{ id: string; statements: Statement[] }> {
    const statements = extend([], OPENING)
    await this.ledger.open({ id, statements, document: DIGEST })
    return { id, statements }
  }

  async use(vector: number[], capability?: string) {
    const { id, statements } = await this.open()
    const closed = await this.ledger.close(closingOf(id, statements, vector, capability))
    await this.ledger.written()
    return closed
  }

  async read(authority: string, after?: number): Promise<Reading> {
    const { id, statements } = await this.open()
    const { reading } = await this.ledger.close({
      session: id,
      statements: statements.slice(0, 1),
      end: {
        kind: 'read',
        authority,
        salt: new Uint8Array(32),
        ...(after !== undefined && { after }),
      },
    })
    return parseReading(reading!)
  }

  async meter(capability: string): Promise<number | undefined> {
    const { meters } = await this.read(capability.split('/')[0]!)
    return meters.find((row) => row.capability === capability)?.millionths
  }

  async remove(): Promise<void> {
    await this.stop()
    await rm(this.directory, { recursive: true })
  }
}
