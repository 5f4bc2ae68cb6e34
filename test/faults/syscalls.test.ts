// Ledger and store killed at their K-th system call: strace sends SIGKILL as a thread enters it. The same file and TPM
// serve the next process, which is killed in its turn; whatever it finds it takes up, and nothing that was given out is
// ever missing from the log.
// K: every fsync, where one step ends on disk and the next begins; of write (to the TPM's socket, between the threads)
// and pwrite64 (pages of the database and its write-ahead log) every so many, until a process comes through unharmed.
// Mutants: without the roll-forward in `#settle` (embassy/src/ledger/ledger.ts) a start after a cut is refused; a receipt
// given out before its step is on disk has no leaf.
import { execFile } from 'node:child_process'
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
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SoftwareTpm } from '../../scripts/world/tpm.ts'
import { type Lab, openLab } from '../support/software-tpm.ts'

const DRIVER = join(import.meta.dirname, '..', 'support', 'ledger-driver.ts')
const SESSIONS = '2'
let lab: Lab
beforeAll(async () => {
  lab = await openLab()
})
afterAll(() => lab?.close())

/** What a process said before it ended. */
interface Said {
  revealed: string[]
  receipts: string[]
  isDone: boolean
}

class Machine {
  readonly directory: string
  readonly tpm: SoftwareTpm
  readonly revealed: string[] = []
  readonly receipts: string[] = []
  meter = 0

  constructor(directory: string, tpm: SoftwareTpm) {
    this.directory = directory
    this.tpm = tpm
  }

  static async make(name: string): Promise<Machine> {
    const directory = join(lab.directory, `files-${name}`)
    await mkdir(directory)
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
    await writeFile(join(directory, 'ledger.pem'), pem)
    return new Machine(directory, await lab.start(name))
  }

  /** One process, killed at its `k`-th such call where it gets there. */
  async run(call: string, k: number): Promise<boolean> {
    const { revealed, receipts, isDone } = await this.#process([
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      `trace=${call}`,
      '-e',
      `inject=${call}:signal=SIGKILL:when=${k}`,
      process.execPath,
      DRIVER,
      this.directory,
      this.tpm.socketPath,
      SESSIONS,
    ])
    this.revealed.push(...revealed)
    this.receipts.push(...receipts)
    return isDone
  }

  #process(args: string[]): Promise<Said> {
    return new Promise((resolve, reject) => {
      execFile('strace', args, (error, stdout, stderr) => {
        const lines = stdout.split('\n').map((line) => line.split(' '))
        const of = (what: string) =>
          lines.flatMap(([said, value]) => (said === what ? [value!] : []))
        const isDone = of('done').length > 0
        // Ended by itself, it has refused to start or has failed otherwise.
        const killed = error?.signal === 'SIGKILL' || error?.code === 137
        if (isDone || killed) resolve({ revealed: of('revealed'), receipts: of('receipt'), isDone })
        else reject(new Error(`${stdout}\n${stderr}`, { cause: error }))
      })
    })
  }

  /** Holds a copy of the files, as they lie there, against everything that was said. */
  async check(): Promise<void> {
    const copy = await mkdtemp(join(lab.directory, 'copy-'))
    for (const suffix of ['', '-wal'])
      await copyFile(
        join(this.directory, `embassy.db${suffix}`),
        join(copy, `embassy.db${suffix}`),
      ).catch(() => {})
    const db = new Sqlite(join(copy, 'embassy.db'))
    try {
      if (db.prepare(`SELECT 1 FROM sqlite_schema WHERE name = 'leaves'`).get())
        await this.#checkRows(db)
      else expect(this.revealed).toEqual([])
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
    expect(new Set(ended).size).toBe(ended.length)
    const open = all<{ id: string }>('SELECT id FROM sessions').map(({ id }) => id)
    for (const id of this.revealed) expect([...ended, ...open]).toContain(id)
    for (const receipt of this.receipts) {
      const { checkpoint, index, leaf, path } = decodeReceipt(receipt)
      expect(ended[index - 1]).toBe(leaf.session)
      const { root, size } = parseCheckpointBody(parseNote(checkpoint).body)
      expect(toHex(root)).toBe(toHex(await merkleRoot(hashes.slice(0, size))))
      const proof = path.map(fromBase64url)
      expect(await verifyInclusion(root, hashes[index]!, index, size, proof)).toBe(true)
    }
    const changes = all<{ session: string; millionths: number }>('SELECT * FROM changes')
    for (const { session } of changes) expect(ended).toContain(session)
    const sum = changes.reduce((total, { millionths }) => total + millionths, 0)
    const [meter] = all<{ millionths: number }>('SELECT * FROM meters')
    expect(meter?.millionths ?? 0).toBe(sum)
    expect(sum).toBeGreaterThanOrEqual(this.meter)
    this.meter = sum
  }
}

describe('killed at its K-th system call, and started again on what is there', () => {
  test.each([
    ['fsync', 1],
    ['write', 5],
    ['pwrite64', 13],
  ])('%s', async (call, stride) => {
    const machine = await Machine.make(call)
    let killed = 0
    for (let k = 1; !(await machine.run(call, k)); k += stride) {
      killed += 1
      await machine.check()
    }
    await machine.check()
    expect(killed).toBeGreaterThan(6)
    expect(machine.receipts.length).toBeGreaterThanOrEqual(Number(SESSIONS))
  })
})
