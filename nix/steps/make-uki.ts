// The unified kernel image: systemd's stub with kernel, initial file system and command line as sections of one EFI
// program, which the firmware measures (PCR 4) and the stub again, section by section (PCR 11).
import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { given, givenJson, tool } from './tools.ts'

const STUB = 'usr/lib/systemd/boot/efi/linuxx64.efi.stub'
const ALIGNMENT = 4096
/** What `sbsign` would fill a file up to, and change its digest by it. */
const FILE_ALIGNMENT = 8

const { parameters, salt } = givenJson<{ parameters: string; salt: string }>('settings')
const verity = JSON.parse(readFileSync(join(given('root'), 'verity.json'), 'utf8')) as {
  blocks: number
  root_hash: string
}
const boot = join(given('packages'), 'boot')
const kernel = readdirSync(boot).find((name) => name.startsWith('vmlinuz-'))
if (!kernel) throw new Error('the kernel package has no kernel')

const commandLine = [
  `sealed.root_blocks=${verity.blocks}`,
  `sealed.root_hash=${verity.root_hash}`,
  `sealed.root_salt=${salt}`,
  parameters,
].join(' ')
writeFileSync('cmdline', commandLine)
writeFileSync('uname', kernel.slice('vmlinuz-'.length))

const sections = [
  ['.cmdline', 'cmdline'],
  ['.uname', 'uname'],
  ['.initrd', given('initrd')],
  ['.linux', join(boot, kernel)],
] as const
let address = endOf(readFileSync(join(given('tools'), STUB)))
const options: string[] = []
for (const [name, file] of sections) {
  options.push(
    '--add-section',
    `${name}=${file}`,
    '--change-section-vma',
    `${name}=0x${address.toString(16)}`,
  )
  address = aligned(address + statSync(file).size)
}
const out = given('out')
tool('usr/bin/x86_64-linux-gnu-objcopy', [...options, join(given('tools'), STUB), out])
appendFileSync(out, Buffer.alloc(-statSync(out).size & (FILE_ALIGNMENT - 1)))

function aligned(value: number): number {
  return Math.ceil(value / ALIGNMENT) * ALIGNMENT
}

/** First free address behind the sections of a PE file, counted from its base as objcopy counts. */
function endOf(pe: Buffer): number {
  const header = pe.readUInt32LE(0x3c)
  const optional = header + 24
  const base = Number(pe.readBigUInt64LE(optional + 24))
  const table = optional + pe.readUInt16LE(header + 20)
  const ends = Array.from({ length: pe.readUInt16LE(header + 6) }, (_, i) => {
    const at = table + 40 * i
    return pe.readUInt32LE(at + 12) + pe.readUInt32LE(at + 8)
  })
  return aligned(base + Math.max(...ends))
}
