// A process with nothing but ledger and store, on a real file and a real (software) TPM, for tests that kill it at a
// system call: closes sessions of which the first writes a capability and
// the others use it, and says on standard output what it gave out.
import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '@sealed/protocol'
import { ledgerKey } from '../../embassy/src/keys/ledger-key.ts'
import { FileFlag } from '../../embassy/src/ledger/flag.ts'
import { Ledger } from '../../embassy/src/ledger/ledger.ts'
import { extend } from '../../embassy/src/store/stamp.ts'
import { Store } from '../../embassy/src/store/store.ts'
import { closingOf, OPENING } from '../../embassy/src/test-support/ledger-world.ts'
import { openTpm } from '../../embassy/src/tpm/index.ts'

const [directory = '', socket = '', sessions = '0'] = process.argv.slice(2)
const say = (what: string, of: string) => process.stdout.write(`${what} ${of}\n`)
const CAPABILITY = `${'a'.repeat(32)}/x`
const DOCUMENT = 'ab'.repeat(32)

const key = ledgerKey(createPrivateKey(readFileSync(join(directory, 'keys', 'ledger.pem'), 'utf8')))
const k = new Uint8Array(32).fill(7)
const tpm = await openTpm(socket)
const { resetCount, restartCount } = await tpm.clock()
const store = new Store(join(directory, 'embassy.db'), { onLost: () => process.exit(1) })
const ledger = new Ledger({
  store,
  tpm,
  key,
  keySetDigest: k,
  boot: { origin: 'sealed/0707070707070707', akName: toHex(tpm.ak.name), resetCount, restartCount },
  begun: new FileFlag(join(directory, 'keys', 'log.begun')),
  restored: new FileFlag(join(directory, 'embassy.db.restored')),
  onFatal: ({ code }) => {
    say('fatal', code)
    process.exit(2)
  },
})
await ledger.start().catch((error: { code?: string }) => {
  say('fatal', String(error.code))
  process.exit(2)
})
// What an earlier life left open ends as it does in the embassy.
for (const { id, statements } of await store.run('openSessions', undefined))
  await ledger.close({
    session: id,
    statements,
    end: {
      kind: 'abort',
      abort: {
        type: 'session.aborted',
        at: 'revealed',
        output_bytes: 0,
        reason: 'embassy.restarted',
      },
    },
  })
say('started', String(process.pid))
for (let i = 0; i < Number(sessions); i++) {
  const id = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex')
  const statements = extend([], OPENING)
  await ledger.open({ id, statements, document: DOCUMENT })
  say('revealed', id)
  const { receipt } = await ledger.close(
    closingOf(id, statements, [1, 0], i === 0 ? CAPABILITY : undefined),
  )
  say('receipt', receipt)
}
await ledger.stop()
await store.close()
await tpm.close()
say('done', sessions)
process.exit(0)
