import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { KeyDirectory } from './key-files.ts'
import { generateLedgerKey, ledgerKey } from './ledger-key.ts'
import { TransportKeys } from './transport-keys.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealed-keys-'))
})
afterEach(() => rm(folder, { recursive: true }))
const modeOf = async (path: string) => (await stat(path)).mode & 0o777

test('key files are for root alone, whatever the umask, and never there in part', async () => {
  const before = process.umask(0)
  try {
    const files = new KeyDirectory(join(folder, 'keys'))
    await files.create()
    await files.write('ledger', 'secret')
    expect(await modeOf(join(folder, 'keys'))).toBe(0o700)
    expect(await modeOf(join(folder, 'keys', 'ledger'))).toBe(0o600)
    expect(await readdir(join(folder, 'keys'))).toEqual(['ledger'])
  } finally {
    process.umask(before)
  }
})

test('each boot has keys of its own, and shares none with another machine’s', async () => {
  const boot = async (name: string) => {
    const files = new KeyDirectory(join(folder, name))
    await files.create()
    const ledger = ledgerKey(generateLedgerKey())
    const transport = new TransportKeys(ledger, files)
    await transport.refresh()
    return { ledger, transport }
  }
  const [one, other] = [await boot('one'), await boot('other')]
  expect(one.ledger.publicKey).not.toEqual(other.ledger.publicKey)
  const [first, second] = [one, other].map(({ transport }) => transport.records()[0]!)
  expect(first!.spki).not.toBe(second!.spki)
  expect(() => other.transport.byId(first!.id)).toThrow(
    expect.objectContaining({ code: 'envelope.key_unknown' }),
  )
})
