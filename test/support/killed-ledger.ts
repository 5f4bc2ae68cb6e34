// Ledger and store in a process of their own (ledger-driver.ts) that is killed at a system call: strace sends SIGKILL as
// a thread enters it. The same file and TPM serve the next process; whatever it finds it takes up, and nothing that was
// given out is ever missing from the log. Used in a test and out of one: what is wrong is thrown by `node:assert`.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  decodeReceipt,
  fromBase64url,
  leafHash,
  merkleRoot,
  parseCheckpointBody,
  parseNote,
  toHex,
  utf8,
  verifyInclusion,
} from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import type { SoftwareTpm } from '../../scripts/world/tpm.ts'
import type { Lab } from './software-tpm.ts'

const DRIVER = join(import.meta.dirname, 'ledger-driver.ts')
export const SESSIONS = 2
/** A process that takes longer hangs. */
const PATIENCE_MS = 60_000

/**
 * Where a process is killed. strace counts each thread's calls by themselves, so that a call is told by the one thread
 * that makes it: the main one (to the TPM's socket, to the other threads, and what it says), or by the files that only
 * one other thread touches: the store's, or those of the flag that a log has begun.
 */
export interface Point {
  call: string
  by: 'main' | 'store' | 'flag'
}
export const POINTS = {
  fsync: { call: 'fsync', by: 'store' },
  write: { call: 'write', by: 'main' },
  pwrite64: { call: 'pwrite64', by: 'store' },
  unlink: { call: 'unlink', by: 'store' },
  ftruncate: { call: 'ftruncate', by: 'store' },
  openFlag: { call: 'openat', by: 'flag' },
  fsyncFlag: { call: 'fsync', by: 'flag' },
} as const satisfies Record<string, Point>

/** What a process said before it ended. */
interface Said {
  revealed: string[]
  receipts: string[]
  isDone: boolean
}

export class KilledLedger {
  readonly #directory: string
  readonly #tpm: SoftwareTpm
  readonly #revealed: string[] = []
  readonly receipts: string[] = []
  #meter = 0

  private constructor(directory: string, tpm: SoftwareTpm) {
    this.#directory = directory
    this.#tpm = tpm
  }

  static async make(lab: Lab, name: string): Promise<KilledLedger> {
    const directory = join(lab.directory, `files-${name}`)
    await mkdir(join(directory, 'keys'), { recursive: true })
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
    await writeFile(join(directory, 'keys', 'ledger.pem'), pem)
    return new KilledLedger(directory, await lab.start(name))
  }

  /** Switches the TPM off and removes the files. */
  async close(): Promise<void> {
    await this.#tpm.stop()
    await rm(this.#directory, { recursive: true })
  }

  /** One process, killed as it makes this call for the `k`-th time; says whether it never got there. */
  async run({ by, call }: Point, k: number): Promise<boolean> {
    const { isDone } = await this.#process('strace', [
      ...(by === 'main' ? [] : ['-f', ...this.#filesOf(by).flatMap((path) => ['-P', path])]),
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      `trace=${call}`,
      '-e',
      `inject=${call}:signal=SIGKILL:when=${k}`,
      process.execPath,
      ...this.#arguments(),
    ])
    return isDone
  }

  /** One process that nobody kills. */
  async runUnharmed(): Promise<void> {
    const { isDone } = await this.#process(process.execPath, this.#arguments())
    assert.ok(isDone, 'it was killed by somebody')
  }

  #arguments(): string[] {
    return [DRIVER, this.#directory, this.#tpm.socketPath, String(SESSIONS)]
  }

  #filesOf(by: 'store' | 'flag'): string[] {
    const keys = join(this.#directory, 'keys')
    if (by === 'flag') return [keys, join(keys, 'log.begun')]
    const files = ['', '-wal', '-shm', '-journal']
    return [this.#directory, ...files.map((end) => join(this.#directory, `embassy.db${end}`))]
  }

  async #process(command: string, args: string[]): Promise<Said> {
    // A group of its own, so that the process that strace follows ends with it.
    const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr, late] = ['', '', false]
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk)
    })
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk)
    })
    const timer = setTimeout(() => {
      late = true
      process.kill(-child.pid!, 'SIGKILL')
    }, PATIENCE_MS)
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (...end) => resolve(end))
    }).finally(() => clearTimeout(timer))
    assert.ok(!late, `it hangs\n${stdout}\n${stderr}`)
    const lines = stdout.split('\n').map((line) => line.split(' '))
    const of = (what: string) => lines.flatMap(([said, value]) => (said === what ? [value!] : []))
    const said = {
      revealed: of('revealed'),
      receipts: of('receipt'),
      isDone: of('done').length > 0,
    }
    // Ended by itself, it has refused to start or has failed otherwise.
    const killed = signal === 'SIGKILL' || code === 137
    assert.ok(said.isDone || killed, `it ended by itself (${signal ?? code})\n${stdout}\n${stderr}`)
    this.#revealed.push(...said.revealed)
    this.receipts.push(...said.receipts)
    return said
  }

  /** Holds a copy of the files, as they lie there, against everything that was said. */
  async check(): Promise<void> {
    const copy = await mkdtemp(`${this.#directory}-copy-`)
    for (const suffix of ['', '-wal', '-journal'])
      await copyFile(
        join(this.#directory, `embassy.db${suffix}`),
        join(copy, `embassy.db${suffix}`),
      ).catch(() => {})
    const db = new Sqlite(join(copy, 'embassy.db'))
    try {
      if (db.prepare(`SELECT 1 FROM sqlite_schema WHERE name = 'leaves'`).get())
        await this.#checkRows(db)
      else assert.deepEqual(this.#revealed, [])
    } finally {
      db.close()
      await rm(copy, { recursive: true })
    }
  }

  async #checkRows(db: Sqlite.Database): Promise<void> {
    const all = <T>(sql: string) => db.prepare(sql).all() as T[]
    const rows = all<{ leaf: string; session: string | null }>(
      'SELECT leaf, session FROM leaves ORDER BY idx',
    )
    const hashes = await Promise.all(rows.map(({ leaf }) => leafHash(utf8(leaf))))
    const ended = rows.flatMap(({ session }) => session ?? [])
    assert.equal(new Set(ended).size, ended.length, 'a session has two leaves')
    const open = all<{ id: string }>('SELECT id FROM sessions').map(({ id }) => id)
    for (const id of this.#revealed)
      assert.ok(ended.includes(id) || open.includes(id), `${id} was revealed and is not there`)
    for (const receipt of this.receipts) {
      const { checkpoint, index, leaf, path } = decodeReceipt(receipt)
      assert.equal(ended[index - 1], leaf.session, 'a receipt has no leaf')
      const { root, size } = parseCheckpointBody(parseNote(checkpoint).body)
      assert.equal(toHex(root), toHex(await merkleRoot(hashes.slice(0, size))), 'another log')
      const proof = path.map(fromBase64url)
      assert.ok(await verifyInclusion(root, hashes[index]!, index, size, proof), 'not included')
    }
    const changes = all<{ session: string; millionths: number }>('SELECT * FROM changes')
    for (const { session } of changes)
      assert.ok(ended.includes(session), `${session} counts and has no leaf`)
    const sum = changes.reduce((total, { millionths }) => total + millionths, 0)
    const [meter] = all<{ millionths: number }>('SELECT * FROM meters')
    assert.equal(meter?.millionths ?? 0, sum, 'the meter is not the sum of its changes')
    assert.ok(sum >= this.#meter, 'a meter is lower than it was')
    this.#meter = sum
  }
}
