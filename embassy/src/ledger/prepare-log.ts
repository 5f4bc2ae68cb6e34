// What a start must know before anything is served: whether this database and this TPM belong together, and how the log of
// this boot goes on. A database that is behind is refused, with one exception that no reading and no log hides: a backup
// that somebody restored on purpose, in a boot whose ledger key has signed nothing yet, so that no two logs have one name.
import { NO_TPM, SealedError, toHex } from '@sealed/protocol'
import type { Boot, RestoredStart } from '../store/step.ts'
import type { Store } from '../store/store.ts'
import type { Anchor } from '../tpm/index.ts'
import type { Flag } from './flag.ts'

/** NV indices of the counter and of the chain that bind the database to this TPM. */
export const COUNTER_INDEX = 0x01500018
export const CHAIN_INDEX = 0x01500019

export interface PrepareDeps {
  store: Store
  tpm: Anchor
  keySetDigest: Uint8Array
  boot: Boot
  begun: Flag
  restored: Flag
}

/** Opens this boot's log; what is returned goes into its first step. Throws `state.rollback`, `log.damaged` and `config.invalid`. */
export async function prepareLog(deps: PrepareDeps): Promise<RestoredStart | undefined> {
  const { begun, boot, keySetDigest, restored, store, tpm } = deps
  await store.run('ensureOneKind', boot.akName === NO_TPM)
  const isRestored = await restored.isSet()
  const hasLog = await store.runLazy('hasLog', boot.origin)
  if (isRestored && !hasLog) {
    if (await begun.isSet())
      throw again('this boot has a log already, and the restored backup does not hold it')
    await store.runLazy('checkPages', undefined)
  }
  await store.run('openLog', { origin: boot.origin, keySet: toHex(keySetDigest) })
  const anchors = await store.runLazy('anchors', undefined)
  if (!anchors) {
    if (isRestored) throw rollback('a backup was to be restored here, and the database is new')
    await beginAnchors(deps)
    return undefined
  }
  if (!isRestored || hasLog) return undefined
  const { chain, counter } = await defineAnchors(tpm)
  const gap = { counter_database: String(anchors.counter), counter_tpm: String(counter) }
  return { chain, counter, gap }
}

/** Holds a step that the TPM has not taken against what it has; the first of a restored backup has nothing before it. */
export async function ensureAddition({ begun, restored, store }: PrepareDeps): Promise<void> {
  const isFirst = (await restored.isSet()) && !(await begun.isSet())
  if (!isFirst) await store.runLazy('checkAddition', undefined)
}

/** Anchors of a database that has none, on a TPM that has counted for no other. */
async function beginAnchors({ store, tpm }: PrepareDeps): Promise<void> {
  const counting = await tpm.counter.read(COUNTER_INDEX).catch(() => undefined)
  if (counting !== undefined && !(await store.runLazy('anchorsIntended', undefined)))
    throw rollback('the database is new, the TPM counts for an older one')
  await store.run('intendAnchors', undefined)
  const anchors = await defineAnchors(tpm)
  if (anchors.chain.some((byte) => byte !== 0))
    throw rollback('the database is new, the TPM’s chain is that of an older one')
  await store.run('beginAnchors', anchors)
}

/** Counter and chain as they are; made where this TPM has none. */
async function defineAnchors(tpm: Anchor): Promise<{ counter: bigint; chain: Uint8Array }> {
  await tpm.counter.define(COUNTER_INDEX)
  await tpm.defineExtendNv(CHAIN_INDEX)
  return { counter: await tpm.counter.read(COUNTER_INDEX), chain: await tpm.readNv(CHAIN_INDEX) }
}

export const rollback = (what: string) =>
  new SealedError(
    'state.rollback',
    `${what}: restore the database that belongs to this machine, or start a new instance`,
  )

const again = (what: string, cause?: unknown) =>
  new SealedError(
    'state.rollback',
    `${what}: restart the machine, so that the backup goes on in a new log`,
    { cause },
  )

/** What is said of a restored backup whose boot goes on. */
export const ofThisBoot = (cause: Error) =>
  cause instanceof SealedError && cause.code === 'state.rollback'
    ? again('this is a backup of this very boot, from before its log’s end', cause)
    : cause
