// What the proof costs a session: begun, closed and quoted through the ledger on a real file and a software TPM, many at
// a time. Beside it the design that most would take first: a checkpoint, an fsync and a quote for each response.
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openTpm } from '@sealed/embassy'
import { randomBytes, toHex } from '@sealed/protocol'
import { ledgerKey } from '../embassy/src/keys/ledger-key.ts'
import { FileFlag } from '../embassy/src/ledger/flag.ts'
import { Ledger } from '../embassy/src/ledger/ledger.ts'
import { extend } from '../embassy/src/store/stamp.ts'
import { Store } from '../embassy/src/store/store.ts'
import { closingOf, OPENING } from '../embassy/src/test-support/ledger-world.ts'
import type { Tpm } from '../embassy/src/tpm/index.ts'
import { startSoftwareTpm } from '../scripts/world/tpm.ts'
import { median, ms, quantile, table } from './support/table.ts'

const AT_ONCE = [1, 32, 256]
const ROUNDS = 8

interface Run {
  walls: number[]
  elapsedMs: number
  quotes: number
  quotingMs: number
}

export async function benchLedger(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-bench-ledger-'))
  const world = await startSoftwareTpm({
    stateDir: directory,
    socketPath: join(directory, 't.sock'),
  })
  const tpm = await openTpm(world.socketPath)
  const store = new Store(join(directory, 'embassy.db'))
  try {
    const counted = countQuotes(tpm)
    const ledger = await startLedger(directory, store, counted.tpm)
    const rows: string[][] = []
    for (const sessions of AT_ONCE)
      for (const [name, alone] of [
        ['shared', false],
        ['one each', true],
      ] as const) {
        await rounds(ledger, counted, sessions, alone, 1)
        const run = await rounds(ledger, counted, sessions, alone, ROUNDS)
        const responses = run.walls.length
        rows.push([
          `${sessions} at a time, ${name}`,
          ((1000 * responses) / run.elapsedMs).toFixed(0),
          ms(median(run.walls)),
          ms(quantile(run.walls, 0.99)),
          (run.quotes / responses).toFixed(3),
          (run.quotingMs / responses).toFixed(3),
        ])
      }
    table(
      'proof of a session: begun, closed, quoted',
      ['', 'responses/s', 'median ms', 'p99 ms', 'quotes each', 'ms of quoting each'],
      rows,
    )
    await ledger.stop()
  } finally {
    await store.close()
    await tpm.close()
    await world.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

async function startLedger(directory: string, store: Store, tpm: Tpm): Promise<Ledger> {
  const keySetDigest = randomBytes(32)
  const { resetCount, restartCount } = await tpm.clock()
  const ledger = new Ledger({
    store,
    tpm,
    key: ledgerKey(generateKeyPairSync('ed25519').privateKey),
    keySetDigest,
    boot: {
      origin: `sealed/${toHex(keySetDigest).slice(0, 16)}`,
      akName: toHex(tpm.ak.name),
      resetCount,
      restartCount,
    },
    begun: new FileFlag(join(directory, 'log.begun')),
    restored: new FileFlag(join(directory, 'restored')),
    onFatal: (error) => {
      throw error
    },
  })
  await ledger.start()
  return ledger
}

/** The same TPM, with an account of its quotes. */
function countQuotes(tpm: Tpm) {
  const account = { quotes: 0, quotingMs: 0 }
  const quote: Tpm['quote'] = async (extraData, pcrs) => {
    const from = performance.now()
    const made = await tpm.quote(extraData, pcrs)
    account.quotes += 1
    account.quotingMs += performance.now() - from
    return made
  }
  return { account, tpm: { ...tpm, quote } }
}

/** `alone`: one session's close is over before the next one's begins, so that nothing is shared. */
async function rounds(
  ledger: Ledger,
  { account }: ReturnType<typeof countQuotes>,
  sessions: number,
  alone: boolean,
  count: number,
): Promise<Run> {
  const before = { ...account }
  const walls: number[] = []
  let turn: Promise<unknown> = Promise.resolve()
  const from = performance.now()
  for (let round = 0; round < count; round++)
    await Promise.all(
      Array.from({ length: sessions }, async () => {
        const start = performance.now()
        const id = toHex(randomBytes(16))
        const statements = extend([], OPENING)
        await ledger.open({ id, statements, document: '0'.repeat(64) })
        const close = () => ledger.close(closingOf(id, statements, [1, 0]))
        turn = alone ? turn.then(close) : close()
        await turn
        walls.push(performance.now() - start)
      }),
    )
  return {
    walls,
    elapsedMs: performance.now() - from,
    quotes: account.quotes - before.quotes,
    quotingMs: account.quotingMs - before.quotingMs,
  }
}
