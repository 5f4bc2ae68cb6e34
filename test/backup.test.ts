// A real instance over its years: a backup while it serves, sessions after it, its disk lost, the backup restored. The new
// log is linked and states the gap, old receipts verify, meters are those of the backup, and no marker means no start.
// Mutants: marker not written by `sealed restore`, or not looked at by the embassy: the last test, or the second.
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { audit, fetchCheckpoint, write } from '@sealed/client'
import { decodeReceipt, parseAttestationDocument, verifyReceipt } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cli, createCli } from '../client/src/test-support/cli-double.ts'
import { up } from '../scripts/up.ts'
import { CAPABILITY, SAMPLE } from './support/failing-session.ts'
import { CHAT, eventually, World } from './support/instance.ts'

let world: World
let cli: Cli
beforeAll(async () => {
  cli = await createCli()
  world = await World.start()
  const [authority] = world.authorities
  const common = { attested: world.attested, endpoint: CHAT, authority }
  await write({ ...common, body: world.body(SAMPLE), capability: CAPABILITY })
  await world.chat(SAMPLE)
})
afterAll(async () => {
  await world?.close()
  await cli?.remove()
})

const socket = () => ['--socket', join(world.instance.paths.runtime, 'embassy', 'admin.sock')]
const state = () => join(world.instance.paths.state, 'state')
/** What somebody keeps of a session: its receipt and the document that it names. */
interface Kept {
  receipt: string
  document: Uint8Array
}
async function keep(): Promise<Kept> {
  const { receipt } = await world.chat(SAMPLE)
  const { bytes } = await world.send(`/v1/attestation/${decodeReceipt(receipt!).document}`)
  return { receipt: receipt!, document: bytes }
}
const outcomeOf = async ({ receipt, document }: Kept) =>
  (
    await verifyReceipt(
      { receipt, document: parseAttestationDocument(document) },
      await world.policy(),
    )
  ).checks.filter(({ result }) => result === 'fail')

test('a backup restored after its machine went on begins a new log that states the gap', async () => {
  const early = await keep()
  const before = (await world.meter(CAPABILITY))!
  const note = (await fetchCheckpoint(world.attested)).text
  const backup = await cli.run(['backup', '--out', 'a.backup', ...socket()])
  expect([backup.exit, backup.err]).toEqual([0, expect.stringContaining('MiB')])
  const lost = await keep()
  const lastNote = (await fetchCheckpoint(world.attested)).text

  const running = await cli.run(['restore', 'a.backup', '--state', state()])
  expect([running.exit, running.err]).toEqual([2, expect.stringContaining('an embassy uses')])

  await world.instance.stop(true)
  // As a thief of time would do it: without the marker.
  await mkdir(join(state(), 'aside'))
  for (const suffix of ['', '-wal'])
    await copyFile(
      join(state(), `embassy.db${suffix}`),
      join(state(), 'aside', `embassy.db${suffix}`),
    ).catch(() => {})
  for (const suffix of ['-wal', '-shm'])
    await rm(join(state(), `embassy.db${suffix}`), { force: true })
  await copyFile(cli.path('a.backup'), join(state(), 'embassy.db'))
  await expect(up(world.instance.paths.state, world.options)).rejects.toThrow('state.rollback')

  const restored = await cli.run(['restore', 'a.backup', '--state', state()])
  expect([restored.exit, restored.out]).toEqual([0, expect.stringContaining('moved aside')])
  world.instance = await up(world.instance.paths.state, world.options)
  await world.attest()
  const leaf = JSON.parse((await world.send('/log/boot')).text)
  expect(Number(leaf.gap.counter_tpm)).toBeGreaterThan(Number(leaf.gap.counter_database))
  expect(leaf.previous.origin).toBe(note.split('\n')[0])
  const { coverage, meters } = await world.reading()
  expect(coverage).toMatchObject({ boots: 2, rollbacks: 1 })
  expect(meters[0]!.millionths).toBe(before)

  for (const kept of [early, lost, await keep()]) expect(await outcomeOf(kept)).toEqual([])
  const id = decodeReceipt(early.receipt).leaf.session
  expect((await world.send(`/v1/receipts/${id}`)).text).toBe(early.receipt)
  expect((await audit(world.attested, note)).logs).toHaveLength(2)
  await expect(audit(world.attested, lastNote)).rejects.toMatchObject({ code: 'log.fork' })
})

test('from then on it is an instance like any other, and its log is exported whole', async () => {
  await world.reboot()
  expect((await world.reading()).coverage).toMatchObject({ boots: 3, rollbacks: 1 })
  expect(JSON.parse((await world.send('/log/boot')).text).gap).toBeUndefined()
  const exported = await cli.run(['log', 'export', '--out', 'leaves.jsonl', ...socket(), '--json'])
  const lines = (await readFile(cli.path('leaves.jsonl'), 'utf8')).trimEnd().split('\n')
  expect(JSON.parse(exported.out)).toEqual({ file: 'leaves.jsonl', leaves: lines.length })
  expect(lines.map((line) => JSON.parse(line).index).filter((index) => index === 0)).toHaveLength(3)
})

test('a backup of this boot is refused in this boot, with what to do', async () => {
  expect((await cli.run(['backup', '--out', 'b.backup', ...socket()])).exit).toBe(0)
  await keep()
  await world.instance.embassy.stop()
  const restored = await cli.run(['restore', 'b.backup', '--state', state()])
  expect(restored.exit).toBe(0)
  world.instance.embassy.start()
  await eventually('a start that is refused', async () => {
    const refused = await world.logged('embassy does not start')
    return refused.some(({ reason }) => String(reason).includes('restart the machine')) || undefined
  })
  await world.reboot()
  expect((await world.reading()).coverage).toMatchObject({ rollbacks: 2 })
})
