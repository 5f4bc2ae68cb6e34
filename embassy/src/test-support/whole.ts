// What must always be so of a machine, whatever failed: log, receipts, registry and meters as they are on its disk, held
// against its TPM and against everything that was seen from outside.
import { setTimeout as delay } from 'node:timers/promises'
import {
  canonicalBytes,
  checkEpochs,
  checkGrammar,
  decodeReceipt,
  fromBase64url,
  leafHash,
  merkleRoot,
  type Opening,
  parseCheckpointBody,
  parseNote,
  replayMeters,
  type SessionLeaf,
  sessionLeavesOf,
  toBase64url,
  toHex,
  utf8,
  verifyInclusion,
} from '@sealed/protocol'
import { expect } from 'vitest'
import { capabilityOf, type EmbassyWorld } from './embassy-world.ts'

/** It serves again, and everything that was open has ended. */
export async function settled(world: EmbassyWorld): Promise<void> {
  for (let tries = 400; ; tries--) {
    const served = await world.session().then(
      () => true,
      () => false,
    )
    await world.ledger.written()
    if (served && isIdle(world)) break
    if (tries === 0) throw new Error('it does not serve again')
    await delay(25)
  }
}

/** What must be so of a world in which something failed, as soon as it serves again. */
export async function checkSettled(world: EmbassyWorld): Promise<Whole> {
  await settled(world)
  return checkWhole(world)
}

/** Sessions that are open. An epoch may be on; its leaf comes when it has ended. */
const sessionsOf = (world: EmbassyWorld) =>
  world.openRows().filter(({ statements }) => statements[0]?.type !== 'epoch.begun')

/** Nothing is open, and the last checkpoint is of everything. */
function isIdle(world: EmbassyWorld): boolean {
  const { inline, machine } = world
  const late = lateRows(world)
  const [log] = inline.rows<{ note: string; size: number }>('SELECT note, size FROM logs')
  const { counter, size } = parseCheckpointBody(parseNote(log!.note).body)
  const isStill = sessionsOf(world).length === 0 && late.length === 0
  return isStill && size === log!.size && counter === machine.tpm.value
}

/** Leaves without a receipt that are to have one. */
const lateRows = ({ inline }: EmbassyWorld) =>
  inline.rows(
    'SELECT idx FROM leaves JOIN logs ON logs.id = log WHERE document IS NOT NULL AND idx >= proven',
  )

interface Row {
  idx: number
  leaf: string
  session: string | null
}

/** What lies on disk and in the log, for further looks at it. */
export interface Whole {
  leaves: SessionLeaf[]
  /** Sessions of which the log says that they moved the meters. */
  applied: string[]
}

export async function checkWhole(world: EmbassyWorld): Promise<Whole> {
  const { inline, machine } = world
  const { seen } = machine
  // An abort that was to be written again may be on its way.
  for (let tries = 1_000; !isIdle(world); tries--) {
    if (tries === 0) throw new Error('it does not come to rest')
    await delay(5)
  }
  // All of one moment: the ledger may try again what it thinks it owes, and count on.
  const counter = machine.tpm.value
  const rows = inline.rows<Row>('SELECT idx, leaf, session FROM leaves ORDER BY idx')
  const [log] = inline.rows<{ note: string; size: number }>('SELECT note, size FROM logs')
  const hashes = await Promise.all(rows.map(({ leaf }) => leafHash(utf8(leaf))))
  const head = parseCheckpointBody(parseNote(log!.note).body)
  expect([log!.size, head.size]).toEqual([rows.length, rows.length])
  expect(toHex(head.root)).toBe(toHex(await merkleRoot(hashes)))
  expect(head.counter).toBe(counter)

  const later = world.later()
  const begun = world.openRows().map(({ id }) => id)
  const leaves = sessionLeavesOf(later)
  const ended = leaves.map(({ session }) => session)
  expect(new Set(ended).size).toBe(ended.length)
  for (const id of seen.revealed.keys()) expect(ended).toContain(id)
  expect(sessionsOf(world)).toEqual([])
  expect(lateRows(world)).toEqual([])

  const kept = await Promise.all(
    ended.map(async (id) => [id, (await world.ledger.receipt(id))!] as const),
  )
  const answered = seen.answers.map(({ id, receipt }) => [id, receipt] as const)
  const receipts = new Map<string, string>()
  for (const [session, receipt] of [...kept, ...seen.receipts, ...answered])
    if (receipt !== undefined) receipts.set(receipt, session)
  for (const [receipt, session] of receipts) {
    const { checkpoint, index, leaf, path } = decodeReceipt(receipt)
    expect([rows[index]?.session, leaf.session]).toEqual([session, session])
    expect(new TextDecoder().decode(canonicalBytes(leaf))).toBe(rows[index]!.leaf)
    const { root, size } = parseCheckpointBody(parseNote(checkpoint).body)
    expect(toHex(root)).toBe(toHex(await merkleRoot(hashes.slice(0, size))))
    const proof = path.map(fromBase64url)
    expect(await verifyInclusion(root, hashes[index]!, index, size, proof)).toBe(true)
  }

  for (const { statements } of leaves) checkGrammar(statements)
  expect(begun).toEqual(expect.arrayContaining(checkEpochs(later).open))
  const applied = await checkMeters(world, leaves)
  for (const [session] of seen.receipts) expect(applied).toContain(session)
  expect([seen.early, seen.twice, world.fatal]).toEqual([[], [], []])
  return { leaves, applied }
}

/** A session counts exactly where its leaf says so: once, and by what the leaf commits to. */
async function checkMeters(
  { inline, machine }: EmbassyWorld,
  leaves: readonly SessionLeaf[],
): Promise<string[]> {
  const changes = inline
    .rows<{ salt: Buffer } & Omit<Opening, 'salt'>>('SELECT * FROM changes')
    .map((change) => ({ ...change, salt: toBase64url(change.salt) }))
  const of = (operation: 'update' | 'write') =>
    leaves
      .filter(({ statements }) =>
        statements.some((one) => one.type === 'registry.applied' && one.operation === operation),
      )
      .map(({ session }) => session)
  const applied = of('update')
  expect(changes.map(({ session }) => session).sort()).toEqual([...applied].sort())
  const replay = await replayMeters(leaves, changes)
  expect([replay.opened, replay.changes]).toEqual([changes.length, changes.length])
  const capability = capabilityOf(machine)
  const millionths = replay.sums.get(capability) ?? 0
  expect(inline.rows('SELECT * FROM meters')).toEqual([{ capability, millionths }])
  expect(inline.rows('SELECT capability FROM signatures')).toHaveLength(of('write').length)
  return applied
}
