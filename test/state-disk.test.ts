// The state partition's key through the life of a machine: made, opened after a boot, by the next image, and by no
// other system, image or TPM.
// Mutants tried, each found here: the counter not raised at a take-over; sealed anew under the old security version; an
// approval's policyRef without its security version; PCR 14 not among the PCRs; the counter not looked at before the TPM
// is asked (which refuses too, in fewer words).
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HEADER_BYTES } from '../embassy/src/state-disk/device.ts'
import { counterBytes, STATE_COUNTER } from '../embassy/src/state-disk/policy.ts'
import { pcrExtend } from '../embassy/src/tpm/commands.ts'
import { readCounter } from '../embassy/src/tpm/nv.ts'
import { forgeHeader } from './support/luks-header.ts'
import { tpm2 } from './support/software-tpm.ts'
import {
  newPolicyKey,
  onTpm,
  type PolicyKey,
  type Release,
  StateMachine,
  sha256,
} from './support/state-machine.ts'

let machine: StateMachine
let key: PolicyKey
const release = (
  content: string,
  securityVersion: number,
  more: Partial<Release> = {},
): Release => ({
  content,
  securityVersion,
  key,
  ...more,
})
const counter = () => onTpm(machine.tpm, (execute) => readCounter(execute, STATE_COUNTER))
const locked = (message: RegExp) =>
  expect.objectContaining({
    code: 'state.locked',
    message: expect.stringMatching(message) as string,
  })
const header = async (disk: string) => (await readFile(disk)).subarray(0, HEADER_BYTES)
/** Refused, and the disk is what it was. */
async function refuses(attempt: () => Promise<unknown>, disk: string, message: RegExp) {
  const before = await readFile(disk)
  await expect(attempt()).rejects.toThrow(locked(message))
  expect((await readFile(disk)).equals(before)).toBe(true)
}

beforeAll(async () => {
  machine = await StateMachine.open()
  key = newPolicyKey()
})
afterAll(() => machine.close())

test('an empty disk becomes a state, which every later boot of the image opens', async () => {
  const disk = await machine.newDisk('first')
  const one = release('one', 1)
  machine.ran.length = 0
  expect(await machine.start(one, disk)).toBe('made')
  const tools = machine.ran.map(([tool, ...args]) => [tool, args[0]].join(' '))
  expect(tools.slice(-3)).toEqual(['cryptsetup open', 'mke2fs -q', 'mount -t'])
  machine.ran.length = 0
  expect(await machine.start(one, disk)).toBe('opened')
  expect(machine.ran.map(([tool]) => tool)).toEqual(['cryptsetup', 'cryptsetup', 'e2fsck', 'mount'])
})

test('no tool is given a key as an argument, or told to pass discards on', async () => {
  for (const command of machine.ran) {
    expect(command.join(' ')).not.toMatch(/allow-discards|persistent/)
    for (const word of command) expect(word).not.toMatch(/^[0-9a-f]{64}$/)
  }
})

describe('a state of security version 1', () => {
  let disk: string
  const one = () => release('one', 1)
  beforeAll(async () => {
    disk = await machine.newDisk('state')
    await machine.start(one(), disk)
  })

  test('is opened by another image of its version, and by the first again', async () => {
    expect(await machine.start(release('one, mended', 1), disk)).toBe('opened')
    expect(await machine.start(one(), disk)).toBe('opened')
  })

  test('is not opened by a system that no approval is for, and the PCR is named', async () => {
    await machine.boot(release('another system', 1))
    await refuses(() => machine.bringUp(one(), disk), disk, /nearest is one: PCR 11 is .*approved/)
    await machine.reboot()
    await refuses(() => machine.bringUp(one(), disk), disk, /PCR 11 is/)
  })

  test.each([4, 7, 9, 12, 13])('is not opened once PCR %i is another', async (pcr) => {
    await machine.boot(one())
    await onTpm(machine.tpm, (execute) => execute(pcrExtend(pcr, new Uint8Array(32))))
    await refuses(() => machine.bringUp(one(), disk), disk, new RegExp(`: PCR ${pcr} is`))
  })

  test('is not opened twice in a boot in which the embassy has measured its keys', async () => {
    await machine.boot(one())
    expect(await machine.bringUp(one(), disk)).toBe('opened')
    await onTpm(machine.tpm, (execute) => execute(pcrExtend(14, new Uint8Array(32))))
    await refuses(() => machine.bringUp(one(), disk), disk, /PCR 14 is .*restart the machine/)
  })

  test('is not opened on an approval that another key signed', async () => {
    const { approvals } = machine.image(release('one', 1, { key: newPolicyKey() }))
    await machine.boot(one())
    const attempt = () => machine.bringUp(release('one', 1, { approvals }), disk)
    await refuses(attempt, disk, /not signed by the policy key/)
  })

  test('is not opened by an image built for another policy key', async () => {
    const other = release('one', 1, { key: newPolicyKey() })
    await refuses(() => machine.start(other, disk), disk, /another TPM, or for another policy key/)
  })

  test('is not opened by an image whose release does not take its version over', async () => {
    const strict = release('two, strict', 2, { oldest: 2 })
    await refuses(() => machine.start(strict, disk), disk, /for security versions 2, .* is of 1/)
  })

  test('is not opened by a signature moved to another security version', async () => {
    const [approval] = machine.image(release('two, strict', 2, { oldest: 2 })).approvals
    const moved = new Map([[1, approval!.signatures.get(2)!]])
    const approvals = [{ ...approval!, signatures: moved }]
    const attempt = () => machine.start(release('two, strict', 2, { approvals }), disk)
    await refuses(attempt, disk, /not signed by the policy key/)
  })

  test('is not opened by a TPM that was cleared, which leaves nothing of the seed that sealed it', async () => {
    const mine = machine.tpm
    await mine.stop()
    machine.tpm = await machine.lab.start('cleared')
    await tpm2(machine.tpm, 'clear', '-c', 'l')
    await onTpm(machine.tpm, (execute) => execute(pcrExtend(11, sha256(Buffer.from('one')))))
    const attempt = () => machine.bringUp(one(), disk)
    await refuses(attempt, disk, /sealed by another TPM/)
    await machine.tpm.stop()
  })
})

describe('a state that security version 2 has taken over', () => {
  let disk: string
  /** What an attacker kept of the time before. */
  let old: Buffer
  let limitBefore: bigint
  const one = () => release('one', 1)
  const two = () => release('two', 2)
  beforeAll(async () => {
    disk = await machine.newDisk('taken')
    await machine.start(one(), disk)
    old = Buffer.from(await header(disk))
    const before = await counter()
    limitBefore = before
    expect(await machine.start(two(), disk)).toBe('opened')
    expect(await counter()).toBe(before + 1n)
  })
  const withOldHeader = async () => {
    const copy = `${disk}.old`
    await copyFile(disk, copy)
    const bytes = await readFile(copy)
    old.copy(bytes)
    await writeFile(copy, bytes)
    return copy
  }

  test('is opened by it again, and by the next, and costs the counter nothing', async () => {
    const before = await counter()
    expect(await machine.start(two(), disk)).toBe('opened')
    expect(await machine.start(release('two, mended', 2), disk)).toBe('opened')
    expect(await counter()).toBe(before)
  })

  test('is not opened by an image of version 1, which is told so', async () => {
    await refuses(() => machine.start(one(), disk), disk, /downgrade: .*security version 2.* has 1/)
  })

  test('is not opened by version 1 where the token says that it may', async () => {
    const forged = `${disk}.forged`
    await copyFile(disk, forged)
    await forgeHeader(forged, (metadata) => {
      for (const token of Object.values(metadata.tokens)) token.security_version = '1'
    })
    await refuses(() => machine.start(one(), forged), forged, /another TPM, or for another policy/)
  })

  test('is not opened by version 1 with the header of before, nor by version 2', async () => {
    const copy = await withOldHeader()
    await refuses(() => machine.start(one(), copy), copy, /downgrade: .*counter is/)
    await refuses(() => machine.start(two(), copy), copy, /downgrade: .*counter is/)
  })

  test('nor where that header claims a later limit: the TPM holds it to the one it was sealed with', async () => {
    const copy = await withOldHeader()
    const now = await counter()
    await forgeHeader(copy, (metadata) => {
      metadata.tokens[0].counter_limit = String(now)
    })
    await refuses(
      () => machine.start(one(), copy),
      copy,
      /not under the policy that its token claims/,
    )
  })

  test('nor with a counter that was removed and defined anew, in whatever system', async () => {
    const copy = await withOldHeader()
    const before = await counter()
    await machine.reboot()
    const index = `0x${STATE_COUNTER.toString(16)}`
    await tpm2(machine.tpm, 'nvundefine', '-C', 'o', index)
    await machine.reboot()
    const attributes = 'nt=counter|ownerread|ownerwrite|authread|authwrite|no_da'
    await tpm2(machine.tpm, 'nvdefine', '-C', 'o', '-s', '8', '-a', attributes, index)
    await tpm2(machine.tpm, 'nvincrement', '-C', 'o', index)
    expect(await counter()).toBeGreaterThan(before)
    await refuses(() => machine.start(one(), copy), copy, /downgrade: .*counter is/)
    await tpm2(machine.tpm, 'nvundefine', '-C', 'o', index)
    await refuses(() => machine.start(one(), copy), copy, /counter .* was removed/)
  })

  test('nor with an ordinary index of that value in its place', async () => {
    const copy = await withOldHeader()
    await machine.reboot()
    const index = `0x${STATE_COUNTER.toString(16)}`
    await tpm2(machine.tpm, 'nvundefine', '-C', 'o', index).catch(() => undefined)
    const attributes = 'ownerread|ownerwrite|authread|authwrite|no_da'
    await tpm2(machine.tpm, 'nvdefine', '-C', 'o', '-s', '8', '-a', attributes, index)
    await writeFile(`${disk}.value`, counterBytes(limitBefore))
    await tpm2(machine.tpm, 'nvwrite', '-C', 'o', '-i', `${disk}.value`, index)
    await refuses(() => machine.start(one(), copy), copy, /TPM2_Unseal .*POLICY_FAIL/)
    await tpm2(machine.tpm, 'nvundefine', '-C', 'o', index)
  })
})
