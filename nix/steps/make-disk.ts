// The disk: GPT with fixed identifiers, an EFI system partition with the unified kernel image, and the root. What is
// left of a larger disk becomes the state partition at the first start.
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { given, givenJson, tool } from './tools.ts'

/** What is used here of protocol/src/image/measure-disk.ts. */
interface MeasureDisk {
  measureDisk: (
    read: (offset: number, length: number) => Promise<Uint8Array>,
  ) => Promise<{ image: object; command_line: string; root_hash: string; rtmr2: string }>
}

const MIB = 1024 * 1024
const SECTOR = 512
const ESP_BYTES = 96 * MIB
const ESP = {
  id: '5EA1ED01',
  type: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  uuid: '5EA1ED00-0000-4000-8000-000000000002',
}
const ROOT = {
  type: '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709',
  uuid: '5EA1ED00-0000-4000-8000-000000000003',
}
/** What the release signs of this very disk comes here afterwards; until then, and behind it, line feeds. */
const APPROVALS = {
  bytes: MIB,
  // Of its own: by a common type systemd-repart would take it for the state partition.
  type: '5EA1ED00-0000-4000-8000-000000000008',
  uuid: '5EA1ED00-0000-4000-8000-000000000006',
}
/**
 * Empty: systemd-repart makes it as large as the disk is. It is there already, so that what it begins with is zero, and
 * not what this disk has at its end.
 */
const STATE = {
  bytes: 2 * MIB,
  type: '0FC63DAF-8483-4772-8E79-3D69D8477DE4',
  uuid: '5EA1ED00-0000-4000-8000-000000000005',
}
const DISK = '5EA1ED00-0000-4000-8000-000000000004'

const out = given('out')
mkdirSync(out)
const uki = join(out, 'uki.efi')
copyFileSync(given('uki'), uki)
utimesSync(uki, 1, 1)

const esp = 'esp.img'
writeFileSync(esp, '')
truncateSync(esp, ESP_BYTES)
tool('usr/sbin/mkfs.fat', ['--invariant', '-F', '32', '-i', ESP.id, '-n', 'ESP', esp])
tool('usr/bin/mtools', ['-i', esp, '::/EFI', '::/EFI/BOOT'], { name: 'mmd' })
tool('usr/bin/mtools', ['-m', '-i', esp, uki, '::/EFI/BOOT/BOOTX64.EFI'], { name: 'mcopy' })

const root = join(given('root'), 'root.img')
const rootStart = MIB + ESP_BYTES
const rootBytes = Math.ceil(statSync(root).size / MIB) * MIB
const disk = join(out, 'disk.raw')
writeFileSync(disk, '')
const approvalsStart = rootStart + rootBytes
const stateStart = approvalsStart + APPROVALS.bytes
truncateSync(disk, stateStart + STATE.bytes + MIB)
const table = [
  'label: gpt',
  `label-id: ${DISK}`,
  'first-lba: 2048',
  `start=${MIB / SECTOR}, size=${ESP_BYTES / SECTOR}, type=${ESP.type}, uuid=${ESP.uuid}, name=esp`,
  `start=${rootStart / SECTOR}, size=${rootBytes / SECTOR}, type=${ROOT.type}, uuid=${ROOT.uuid}, name=sealed-root`,
  `start=${approvalsStart / SECTOR}, size=${APPROVALS.bytes / SECTOR}, type=${APPROVALS.type}, uuid=${APPROVALS.uuid}, name=sealed-approvals`,
  `start=${stateStart / SECTOR}, size=${STATE.bytes / SECTOR}, type=${STATE.type}, uuid=${STATE.uuid}, name=sealed-state`,
]
tool('usr/sbin/sfdisk', ['--quiet', disk], { input: `${table.join('\n')}\n` })
const file = openSync(disk, 'r+')
writeSync(file, readFileSync(esp), 0, ESP_BYTES, MIB)
const bytes = readFileSync(root)
writeSync(file, bytes, 0, bytes.length, rootStart)
writeSync(file, Buffer.alloc(APPROVALS.bytes, '\n'), 0, APPROVALS.bytes, approvalsStart)
closeSync(file)

// The values that a machine which starts from it will measure, by the very code that a verifier uses.
const { measureDisk } = (await import(
  join(given('source'), 'protocol/src/image/measure-disk.ts')
)) as MeasureDisk
const about = givenJson<{
  packages: { name: string; version: string }[]
  security_version: number
  version: string
}>('about')
const readable = openSync(disk, 'r')
const { image, ...measured } = await measureDisk(async (offset, length) => {
  const bytes = new Uint8Array(length)
  if (readSync(readable, bytes, 0, length, offset) !== length) throw new Error('the disk is short')
  return bytes
})
closeSync(readable)
const reference = {
  ...measured,
  image: { ...image, name: 'sealed', version: about.version },
  packages: about.packages,
  security_version: about.security_version,
  version: 1,
}
writeFileSync(join(out, 'reference-values.json'), `${JSON.stringify(reference, null, 2)}\n`)
