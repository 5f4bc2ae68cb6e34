// The log of a real instance as strangers see it: tiles, checkpoints that a witness cosigns, receipts that are led to
// one, audits through a reboot and after the disk was altered.
import { join } from 'node:path'
import { audit, fetchCheckpoint, fetchProof } from '@sealed/client'
import {
  decodeReceipt,
  fromBase64url,
  logOrigin,
  type Policy,
  parseCheckpointBody,
  parseNote,
  parseTlogProof,
  verifyReceipt,
} from '@sealed/protocol'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { up } from '../scripts/up.ts'
import { eventually, World } from './support/instance.ts'
import { TestWitness } from './support/witness.ts'

let witness: TestWitness
let world: World
beforeAll(async () => {
  witness = await TestWitness.start()
  world = await World.start({ witnesses: [witness.entry] })
  trust()
})
afterAll(async () => {
  await world?.close()
  await witness?.close()
})

const trust = () => {
  const { document, keySetDigest } = world.attested
  const origin = logOrigin(Buffer.from(keySetDigest, 'hex'))
  witness.trust(origin, fromBase64url(document.key_set.ledger_key))
  return origin
}
const witnessed = (): Policy => ({
  ...world.attested.policy,
  witnesses: { keys: [witness.key], quorum: 1 },
})
const attested = () => ({ ...world.attested, policy: witnessed() })
const sizeOf = (note: string) => parseCheckpointBody(parseNote(note).body).size
/** The proof of a receipt once it leads to something that the witness has cosigned. */
const cosignedProof = (id: string) =>
  eventually('a cosigned proof', async () => {
    const proof = await fetchProof(world.attested.gateway, id)
    const { signatures } = parseNote(parseTlogProof(proof).checkpoint)
    return signatures.some(({ name }) => name === witness.name) ? proof : undefined
  })

describe('a witness', () => {
  test('cosigns what the log shows, and the newest checkpoint carries its line', async () => {
    await world.chat('hello')
    await eventually('a cosigned checkpoint', async () => {
      const { witnesses } = await fetchCheckpoint(attested())
      return witnesses.length > 0 ? true : undefined
    })
  })

  test('makes a receipt witnessed, and its time bounded for who asked', async () => {
    const sentMs = Date.now()
    const { document, output, receipt, request, salt } = await world.ask('hello')
    const { session } = decodeReceipt(receipt!).leaf
    const proof = await cosignedProof(session)
    const input = { document, receipt: receipt!, request, salt, output: output!, proof, sentMs }
    const verdict = await verifyReceipt(input, witnessed())
    expect(verdict).toMatchObject({
      outcome: 'verified',
      claims: { fork: 'witnessed', time: 'bounded', from_ms: sentMs },
    })
    const { proof: _, ...unproven } = input
    const without = await verifyReceipt(unproven, witnessed())
    expect(without).toMatchObject({ outcome: 'incomplete', claims: { fork: 'skipped' } })
    const other = await verifyReceipt(
      { ...input, proof: proof.replace(/— witness\S* \S+/, '— witness.example/test AAAAAAA=') },
      witnessed(),
    )
    expect(other.outcome).toBe('incomplete')
  })

  test('that is gone delays nobody, and is caught up with when it is back', async () => {
    witness.instead = () => 'hang'
    const replies = await Promise.all(Array.from({ length: 5 }, () => world.chat('still there')))
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    witness.instead = undefined
    await world.chat('and again')
    const { session } = decodeReceipt((await world.chat('last')).receipt!).leaf
    await cosignedProof(session)
  })
})

describe('the log', () => {
  test('is proven to have only grown since a checkpoint was kept', async () => {
    const kept = await fetchCheckpoint(world.attested)
    for (let i = 0; i < 3; i++) await world.chat('more')
    const found = await audit(attested(), kept.text)
    expect(found.newest.size - found.saved.size).toBe(3)
    expect(found.savedSignature).toBe('verified')
  })

  test('serves hash tiles as far as its checkpoint reaches, and no entries', async () => {
    const origin = trust().replace('sealed/', '')
    const note = await world.send('/log/checkpoint')
    expect(note.headers.get('cache-control')).toBe('no-store')
    const size = sizeOf(note.text)
    const tile = await world.send(`/log/${origin}/tile/0/000.p/${size}`)
    expect([tile.status, tile.bytes.length]).toEqual([200, 32 * size])
    expect(tile.headers.get('cache-control')).toContain('immutable')
    for (const path of [
      `tile/0/000.p/${size + 1}`,
      'tile/0/000',
      'tile/1/000.p/1',
      `tile/entries/000.p/${size}`,
    ])
      expect((await world.send(`/log/${origin}/${path}`)).code, path).toBe('request.not_found')
    expect((await world.send('/log/ffffffffffffffff/checkpoint')).status).toBe(404)
  })

  test('is followed back through a reboot, and its old proofs still hold', async () => {
    const kept = await fetchCheckpoint(world.attested)
    const { receipt, document } = await world.ask('before the reboot')
    const { session } = decodeReceipt(receipt!).leaf
    await cosignedProof(session)
    const before = trust()
    await world.reboot()
    const after = trust()
    const found = await audit(world.attested, kept.text)
    expect(found.logs).toEqual([after, before])
    const proof = await cosignedProof(session)
    const verdict = await verifyReceipt({ document, receipt: receipt!, proof }, witnessed())
    expect(verdict).toMatchObject({ outcome: 'verified', claims: { fork: 'witnessed' } })
    await world.chat('after the reboot')
    await audit(world.attested, kept.text)
  })

  test.each([
    ['altered', `UPDATE nodes SET hash = zeroblob(32) WHERE level = 0 AND idx = 1`],
    ['gone', `DELETE FROM nodes WHERE level = 0 AND idx = 1`],
  ])('names the damage when a hash is %s on disk', async (_what, sql) => {
    const kept = await fetchCheckpoint(world.attested)
    await world.chat('one')
    await world.instance.stop(true)
    const db = new Sqlite(join(world.instance.paths.state, 'state', 'embassy.db'))
    const log = db.prepare('SELECT id FROM logs WHERE origin = ?').get(kept.checkpoint.origin)
    db.exec(`${sql} AND log = ${(log as { id: number }).id}`)
    db.close()
    world.instance = await up(world.instance.paths.state, world.options)
    await world.attest()
    trust()
    await expect(audit(world.attested, kept.text)).rejects.toMatchObject({ code: 'log.damaged' })
    expect((await world.chat('still served')).status).toBe(200)
  })
})
