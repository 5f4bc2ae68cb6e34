// Reference values of a disk, against the same computed another way, and of disks that are not what they say. The booted
// image itself, under real firmware, is test/boot's. Mutants tried, each red: the filling left out of an Authenticode
// digest; signatures left in it; a section's name measured without its zero; the command line of PCR 9 without its zero;
// TDX's PCR 4 left out; the upper levels of the hash tree left out; a root accepted whose hash is another; the first of
// two system partitions taken.
import { expect, test } from 'vitest'
import { concat, sha256, toHex, utf8 } from '../bytes.ts'
import { measureDisk } from './measure-disk.ts'
import { authenticodeDigest, parsePe } from './pe.ts'
import { replay } from './predict.ts'
import { disk, pe, ROOT_BLOCKS, readOf, root, rootHash, SALT, uki } from './test-disk.ts'

const commandLine = (hash: string, blocks = ROOT_BLOCKS) =>
  `sealed.root_blocks=${blocks} sealed.root_hash=${hash} sealed.root_salt=${SALT} quiet`
const made = async () => {
  const content = root()
  const line = commandLine(await rootHash(content))
  return { content, line, program: uki(line) }
}
const failing = (whole: Uint8Array) => measureDisk(readOf(whole))
const evidence = (message: RegExp) =>
  expect.objectContaining({ code: 'evidence.invalid', message: expect.stringMatching(message) })

test('measures what firmware, stub and kernel measure of a disk', async () => {
  const { content, line, program } = await made()
  const { command_line, image, root_hash, rtmr2 } = await measureDisk(
    readOf(disk(program, content)),
  )
  expect(command_line).toBe(line)
  expect(root_hash).toBe(await rootHash(content))
  const outer = await authenticodeDigest(parsePe(program))
  const inner = await authenticodeDigest(parsePe(pe([['.text', new Uint8Array(600).fill(3)]])))
  expect(image.uki).toEqual([toHex(outer), toHex(inner)])
  const value = (index: number) => image.pcrs.find((row) => row.index === index)?.digests
  const start = [
    await sha256(utf8('Calling EFI Application from Boot Option')),
    await sha256(new Uint8Array(4)),
  ]
  expect(value(4)).toEqual([
    toHex(await replay([...start, outer])),
    toHex(await replay([...start, outer, inner])),
    // attestation-facts: of every unified kernel image on GCE's TDX machines
    '7a94ffe8a7729a566d3d3c577fcb4b6b1e671f31540375f80eae6382ab785e35',
  ])
  const wide = Uint8Array.from(
    [...`${line}\0`].flatMap((character) => [character.charCodeAt(0), 0]),
  )
  const initrd = new Uint8Array(700).fill(2)
  expect(value(9)).toEqual([toHex(await replay([await sha256(wide), await sha256(initrd)]))])
  const sections = [
    ['.linux', pe([['.text', new Uint8Array(600).fill(3)]])],
    ['.cmdline', utf8(line)],
    ['.initrd', initrd],
    ['.sbat', utf8('sbat,1')],
  ] as const
  const events = []
  for (const [name, part] of sections)
    events.push(await sha256(utf8(`${name}\0`)), await sha256(part))
  expect(value(11)).toEqual([toHex(await replay(events))])
  expect(value(12)).toEqual(['00'.repeat(32)])
  // TDX: both in one register, in the order in which they are measured.
  const sha384 = async (...parts: Uint8Array[]) =>
    new Uint8Array(await crypto.subtle.digest('SHA-384', concat(...parts)))
  let register = new Uint8Array(48)
  for (const event of [
    ...sections.flatMap(([name, part]) => [utf8(`${name}\0`), part]),
    wide,
    initrd,
  ])
    register = await sha384(register, await sha384(event))
  expect(rtmr2).toBe(toHex(register))
})

test('a signature changes nothing that is measured', async () => {
  const sections: [string, Uint8Array][] = [['.text', new Uint8Array(40).fill(5)]]
  const [plain, signed] = [pe(sections), pe(sections, 1544)]
  expect(await authenticodeDigest(parsePe(signed))).toEqual(
    await authenticodeDigest(parsePe(plain)),
  )
})

test('a program is digested as if it were filled up to eight bytes', async () => {
  const odd = concat(pe([['.text', new Uint8Array(40)]]), new Uint8Array(3).fill(1))
  const filled = concat(odd, new Uint8Array(5))
  expect(await authenticodeDigest(parsePe(odd))).toEqual(await authenticodeDigest(parsePe(filled)))
})

test('refuses a root of which one bit is another', async () => {
  const { content, program } = await made()
  content[77 * 4096 + 12]! ^= 1
  await expect(failing(disk(program, content))).rejects.toThrow(
    evidence(/has the hash .* stop at it/),
  )
})

test('one bit of the boot program is another image', async () => {
  const { content, line, program } = await made()
  const before = await measureDisk(readOf(disk(program, content)))
  const other = uki(line)
  // In the kernel.
  other[other.length - 600]! ^= 1
  const after = await measureDisk(readOf(disk(other, content)))
  expect(after.image.pcrs).not.toEqual(before.image.pcrs)
  expect(after.image.uki).not.toEqual(before.image.uki)
})

test.each([
  ['no root hash', `sealed.root_blocks=1 sealed.root_salt=${SALT}`, /one sealed.root_hash/],
  ['two root hashes', `${commandLine('00'.repeat(32))} sealed.root_hash=${'11'.repeat(32)}`, /one/],
  ['a root beyond its partition', commandLine('00'.repeat(32), 4096), /larger than its partition/],
])('refuses a command line with %s', async (_, line, message) => {
  await expect(failing(disk(uki(line), root()))).rejects.toThrow(evidence(message))
})

test('refuses disks that have no such parts', async () => {
  const { content, program } = await made()
  const bad = disk(program, content, new Uint8Array(16).fill(1))
  await expect(failing(bad)).rejects.toThrow(evidence(/0 EFI system partitions/))
  await expect(failing(new Uint8Array(4096))).rejects.toThrow(evidence(/no GUID partition table/))
  const two = disk(program, content)
  two.copyWithin(1024 + 2 * 128, 1024, 1024 + 128)
  await expect(failing(two)).rejects.toThrow(evidence(/2 EFI system partitions/))
  await expect(failing(disk(utf8('MZ'), content))).rejects.toThrow(evidence(/EFI program/))
  await expect(failing(disk(pe([['.text', utf8('x')]]), content))).rejects.toThrow(
    evidence(/0 sections are named .linux/),
  )
})
