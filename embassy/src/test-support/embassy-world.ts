// Sessions, ledger, store and fleet put together as in the embassy, on a TPM, a firewall, a container engine and a
// database that can each be told to fail at their k-th call; and a relay and a workload that do as they should.
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  authorityId,
  type EpochLeaf,
  type Revealed,
  randomBytes,
  SealedError,
  type SessionLeaf,
  type Statement,
  type Workload,
} from '@sealed/protocol'
import { type LedgerKey, ledgerKey } from '../keys/ledger-key.ts'
import { TransportKeys } from '../keys/transport-keys.ts'
import { FileFlag } from '../ledger/flag.ts'
import { insist } from '../ledger/insist.ts'
import { Ledger, type LedgerDeps } from '../ledger/ledger.ts'
import { Fleet } from '../replicas/fleet.ts'
import { Nonces } from '../session/nonces.ts'
import { Sessions } from '../session/sessions.ts'
import { FakeContainers, FakeSeal } from './fake-seal.ts'
import type { FakeTpm } from './fake-tpm.ts'
import { InlineStore, NO_STORE_FAULTS, type StoreFaults } from './inline-store.ts'
import { Life, mortal } from './life.ts'
import { Seen } from './seen.ts'

export const DIGEST = 'ab'.repeat(32)
export const IMAGE = 'cd'.repeat(32)
export const ENDPOINT = '/v1/chat/completions'

/** What stays when the embassy ends: files, TPM, this boot's keys; and outside an authority, and what was seen. */
export interface Machine {
  directory: string
  tpm: FakeTpm
  key: LedgerKey
  k: Uint8Array<ArrayBuffer>
  transport: TransportKeys
  /** A raw Ed25519 key is a raw Ed25519 key, whoever signs with it. */
  authority: LedgerKey & { id: string }
  seen: Seen
}

export async function newMachine(directory: string, tpm: FakeTpm): Promise<Machine> {
  const [key, signer] = [1, 2].map(() => ledgerKey(generateKeyPairSync('ed25519').privateKey))
  const transport = new TransportKeys(key!, { read: async () => undefined, write: async () => {} })
  await transport.refresh()
  const authority = { ...signer!, id: await authorityId(signer!.publicKey) }
  return { directory, tpm, key: key!, k: randomBytes(32), transport, authority, seen: new Seen() }
}
export const capabilityOf = ({ authority }: Machine) => `${authority.id}/x`
export const originOf = ({ k }: Machine) => `sealed/${Buffer.from(k).toString('hex').slice(0, 16)}`
export const databaseOf = ({ directory }: Machine) => join(directory, 'embassy.db')

export interface Faults {
  seal: number
  containers: number
  store: StoreFaults
  /** How many effects of any kind the process lives for. */
  effects: number
}
export const NO_FAULTS: Faults = {
  seal: Number.POSITIVE_INFINITY,
  containers: Number.POSITIVE_INFINITY,
  store: NO_STORE_FAULTS,
  effects: Number.POSITIVE_INFINITY,
}

/** What differs from one world to the next. */
interface Given extends Pick<LedgerDeps, 'onEnded' | 'steps'> {
  epoch?: { idle_ms?: number; max_ms: number; sessions: number }
  policy?: Workload['seal_policy']
  protocol?: Workload['protocol']
  probeIntervalMs?: number
  weights?: Workload['weights']
}

/** A safetensors file of one token in one layer. */
export function activations(vector: number[]): Buffer {
  const data = Buffer.from(Float32Array.from(vector).buffer)
  const tensor = { dtype: 'F32', shape: [1, 1, vector.length], data_offsets: [0, data.length] }
  const header = Buffer.from(JSON.stringify({ hidden_states: tensor }))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, data])
}

export class EmbassyWorld {
  readonly machine: Machine
  readonly seal = new FakeSeal()
  readonly containers = new FakeContainers()
  readonly faults: Faults
  readonly inline: InlineStore
  readonly ledger: Ledger
  readonly fleet: Fleet
  readonly sessions: Sessions
  readonly life: Life
  readonly fatal: SealedError[] = []

  constructor(
    machine: Machine,
    faults: Faults = NO_FAULTS,
    metering: 'required' | 'optional' = 'required',
    given: Given = {},
  ) {
    const {
      epoch,
      policy = epoch ? 'epoch' : 'request',
      probeIntervalMs,
      protocol,
      weights,
      ...watching
    } = given
    this.machine = machine
    this.faults = faults
    this.seal.failAt = faults.seal
    this.containers.failAt = faults.containers
    const { authority, k, key, seen, transport } = machine
    this.seal.onRelease = ({ workloadAddress4 }) => {
      const leaves = this.inline.rows<{ session: string }>('SELECT session FROM leaves')
      for (const [id, address] of seen.revealed)
        if (address === workloadAddress4 && !leaves.some(({ session }) => session === id))
          seen.early.push(id)
      // An epoch's leaf too is on disk before its seal is let go.
      const [replica, generation] = workloadAddress4.split('-').map(Number)
      for (const { id, statements } of this.openRows())
        if (statements[0]!.type === 'epoch.begun' && statements[0].replica === replica)
          if (statements[0].generation === generation) seen.early.push(id)
    }
    this.life = new Life(faults.effects)
    this.inline = new InlineStore(databaseOf(machine), faults.store)
    const store = mortal(this.inline.store, this.life)
    const tpm = mortal(machine.tpm, this.life, 'counter')
    const boot = {
      origin: originOf(machine),
      akName: `000b${DIGEST}`,
      resetCount: 5,
      restartCount: 0,
    }
    this.ledger = new Ledger({
      store,
      tpm,
      key,
      keySetDigest: k,
      boot,
      begun: new FileFlag(join(machine.directory, 'log.begun')),
      restored: new FileFlag(join(machine.directory, 'restored')),
      onFatal: (error) => void this.fatal.push(error),
      ...watching,
    })
    const open = this.ledger.open.bind(this.ledger)
    this.ledger.open = (opening) => {
      if (opening.nonce !== undefined) seen.opened.set(opening.nonce, opening.id)
      return open(opening)
    }
    const workload = {
      config: {
        activations: 'safetensors',
        egress: [{ address: '192.0.2.1', port: 443, protocol: 'tcp' }],
        endpoints: [ENDPOINT],
        env: [],
        ...(epoch && { epoch: { idle_ms: 1_000, ...epoch } }),
        image: IMAGE,
        memory_bytes: 1,
        models: ['m'],
        name: 'w',
        pids: 4,
        port: 8000,
        prefix_cache: 'off',
        ...(protocol && { protocol }),
        seal_policy: policy,
        version: 1,
        ...(weights && { weights }),
      },
      digest: DIGEST,
    } as const
    this.fleet = new Fleet({
      id: 'ffff',
      workload: workload as unknown as ConstructorParameters<typeof Fleet>[0]['workload'],
      replicas: 2,
      firstIndex: 0,
      seal: mortal(this.seal, this.life),
      containers: mortal(this.containers, this.life),
      volume: (rootHash) => `/weights/${rootHash}`,
      pauseImage: DIGEST,
      mount: async (name) => {
        rmSync(this.directoryOf(name), { recursive: true, force: true })
        mkdirSync(this.directoryOf(name), { recursive: true })
        return this.directoryOf(name)
      },
      probeIntervalMs: probeIntervalMs ?? 1_000_000,
      recoverSeal: async () => {},
      ready: async () => {},
      onLost: (replica, reason) => this.sessions.abortReplica(replica, reason),
      onEpochEnd: ({ id, begun }, drafts) =>
        insist(this.ledger, () => this.ledger.end(id, begun, drafts)),
      ...(watching.steps && { steps: watching.steps }),
      log: () => {},
    })
    this.sessions = new Sessions({
      workloads: new Map([['w', this.fleet.workload]]),
      authorities: new Map([[authority.id, authority.publicKey]]),
      transportKeys: transport,
      keySetDigest: k,
      metering,
      store,
      nonces: new Nonces(store),
      open: true,
      fleets: new Map([['w', this.fleet]]),
      ledger: this.ledger,
      limits: {
        activations_ms: 50,
        listen_ms: 60_000,
        body_bytes: 1,
        caller_sessions: 100,
        disk_free_bytes: 1,
        output_bytes: 1_000,
        queue: 10,
        queue_ms: 20_000,
        requests_per_minute: 1,
        workload_ms: 20_000,
      },
      disk: { ensureRoom: () => {} },
      ...(watching.steps && { steps: watching.steps }),
      document: () => DIGEST,
      log: () => {},
    })
  }

  /** Sessions and epochs that are open, as they stand on disk. */
  openRows(): { id: string; statements: Statement[] }[] {
    const rows = this.inline.rows<{ id: string; statements: string }>('SELECT * FROM sessions')
    return rows.map(({ id, statements }) => ({ id, statements: JSON.parse(statements) }))
  }

  /** All leaves but the first, in their order. */
  later(): (SessionLeaf | EpochLeaf)[] {
    const rows = this.inline.rows<{ leaf: string }>('SELECT leaf FROM leaves ORDER BY log, idx')
    return rows.map(({ leaf }) => JSON.parse(leaf)).filter(({ kind }) => kind !== 'boot')
  }

  /** Where the replica of this name or address puts its activations. */
  directoryOf(replica: string): string {
    return join(this.machine.directory, 'activations', replica.split('-')[0]!)
  }

  async start(): Promise<void> {
    await this.ledger.start()
    await this.sessions.recover()
    await this.fleet.start()
  }

  /** Nothing fails any more. */
  mend(): void {
    this.machine.tpm.failAt = Number.POSITIVE_INFINITY
    this.seal.failAt = Number.POSITIVE_INFINITY
    this.containers.failAt = Number.POSITIVE_INFINITY
    Object.assign(this.faults.store, NO_STORE_FAULTS)
    if (!this.life.isOver) this.life.left = Number.POSITIVE_INFINITY
    this.inline.limit()
  }

  /** Whether what was to fail has failed. */
  get hasFailed(): boolean {
    const { answer, call, statement } = this.faults.store
    const left = [this.machine.tpm.failAt, this.seal.failAt, this.containers.failAt]
    const counted = [...left, answer, call, statement]
    return this.life.isOver || counted.some((countdown) => countdown < 0)
  }

  /** The relay's part up to the reveal. */
  async begin(
    caller = '',
    inputBytes = 0,
  ): Promise<{ id: string; revealed: Extract<Revealed, { kind: 'replica' }> }> {
    const id = Buffer.from(randomBytes(16)).toString('hex')
    await this.sessions.open({
      caller,
      door: 'plain',
      endpoint: ENDPOINT,
      input_bytes: inputBytes,
      input_sha256: DIGEST,
      session: id,
      workload: 'w',
    })
    const revealed = await this.sessions.reveal(id)
    if (revealed.kind !== 'replica') throw new Error('not a replica')
    this.machine.seen.revealed.set(id, revealed.address)
    return { id, revealed }
  }

  /** A session that is sealed for, and whose client is gone before anything is revealed. */
  async cancelled(): Promise<void> {
    const { enter } = this.fleet
    this.fleet.enter = async (replica, session) => {
      const entered = await enter.call(this.fleet, replica, session)
      void this.sessions.abort(session.id, { reason: 'client.gone', output_bytes: 0 })
      return entered
    }
    const begun = await this.begin().catch((error: unknown) => error)
    this.fleet.enter = enter
    if (!(begun instanceof SealedError) || begun.code !== 'session.aborted')
      throw new Error('the session was not cancelled', { cause: begun })
  }

  /** A workload hands its activations over, as it should. */
  handOver(replica: string, vector: number[], name = 'a'): void {
    writeFileSync(join(this.directoryOf(replica), `${name}.safetensors`), activations(vector))
  }

  left(replica: string): string[] {
    return readdirSync(this.directoryOf(replica))
  }

  async commit(id: string): Promise<string> {
    const commit = { output_bytes: 1, output_sha256: DIGEST, status: 200 }
    const { receipt } = await this.sessions.commit(id, commit)
    this.machine.seen.receipts.push([id, receipt])
    return receipt
  }

  /** One whole session that uses what was written. */
  async session(vector = [1, 0]): Promise<string> {
    const { id, revealed } = await this.begin()
    this.handOver(revealed.address, vector, id)
    return this.commit(id)
  }

  async stop(): Promise<void> {
    await this.fleet.stop()
    await this.ledger.stop().catch(() => {})
    await this.inline.close()
  }

  /** What is left to be done for a process whose life is over. */
  bury(): Promise<void> {
    return this.inline.close()
  }
}
