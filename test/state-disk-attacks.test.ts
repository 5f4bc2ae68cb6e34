// What whoever writes the disk, or boots another system on its TPM, puts in the way of the state partition: each is
// refused before anything is opened, and nothing is written.
// Mutants tried, each found here: the parent usable under an empty password; its Name, the secret's policy, the counter
// behind a limit not compared; a header's members not compared, key slots left out of them; a token's members not
// counted; an empty disk told by its first sector alone.
import { randomBytes } from 'node:crypto'
import { copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  authorizedPolicy,
  keyName,
  parentTemplate,
  secretPolicy,
  secretTemplate,
} from '../embassy/src/state-disk/policy.ts'
import { run as runTool } from '../embassy/src/state-disk/run.ts'
import { createPrimary, HANDLE, pcrRead, policySession } from '../embassy/src/tpm/commands.ts'
import { create } from '../embassy/src/tpm/object-commands.ts'
import { policyPcr, startPolicySession } from '../embassy/src/tpm/policy-commands.ts'
import { forgeHeader, type Metadata } from './support/luks-header.ts'
import { run } from './support/software-tpm.ts'
import { newPolicyKey, onTpm, StateMachine, sha256 } from './support/state-machine.ts'

let machine: StateMachine
let good: string
const one = { content: 'one', securityVersion: 1, key: newPolicyKey() }

beforeAll(async () => {
  machine = await StateMachine.open()
  good = await machine.newDisk('good')
  await machine.start(one, good)
})
afterAll(() => machine.close())

async function copyOf(disk: string): Promise<string> {
  const copy = join(machine.directory, 'copy')
  await copyFile(disk, copy)
  return copy
}

/** Refused without a write, a mapping or a mount. */
async function refuses(disk: string, code: string, message: RegExp) {
  const before = await readFile(disk)
  machine.ran.length = 0
  await expect(machine.bringUp(one, disk)).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) as string }),
  )
  expect((await readFile(disk)).equals(before)).toBe(true)
  expect(machine.ran.map(([tool, action]) => `${tool} ${action}`)).not.toContain('cryptsetup open')
  expect(machine.ran.map(([tool]) => tool)).not.toContain('mke2fs')
}

describe('what is not ours is never overwritten', () => {
  test.each([0, 4096, (1 << 20) - 1])('a disk with one byte at %i', async (at) => {
    const disk = await machine.newDisk('strange')
    const bytes = await readFile(disk)
    bytes[at] = 1
    await writeFile(disk, bytes)
    await refuses(disk, 'state.disk', /neither empty .* nor a state partition/)
  })

  test('a file system', async () => {
    const disk = await machine.newDisk('ext4')
    await runTool(['mke2fs', '-q', disk])
    await refuses(disk, 'state.disk', /neither empty/)
  })

  test('an encrypted disk of somebody else', async () => {
    const disk = await machine.newDisk('luks')
    const layout = [
      '--luks2-metadata-size',
      '1m',
      '--luks2-keyslots-size',
      '1m',
      '--offset',
      '8192',
    ]
    const options = [...layout, '--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1001', '-q']
    await runTool(
      ['cryptsetup', 'luksFormat', ...options, '--key-file', '-', disk],
      randomBytes(32),
    )
    await refuses(disk, 'state.disk', /a LUKS header that is not ours/)
  })

  test('a device that is too small, or not there', async () => {
    const disk = await machine.newDisk('small')
    await truncate(disk, 1 << 20)
    await refuses(disk, 'state.disk', /has 1048576 bytes/)
    await rm(disk)
    await expect(machine.bringUp(one, disk)).rejects.toThrow('no such file')
  })
})

describe('a header that was changed', () => {
  const NULL_CIPHER = 'cipher_null-ecb'
  test.each<[string, (metadata: Metadata) => void, RegExp]>([
    [
      'so that everything is written in clear',
      ({ segments }) => {
        segments[0].encryption = NULL_CIPHER
      },
      /segments/,
    ],
    [
      'so that any key opens it',
      ({ keyslots }) => {
        keyslots[0].area.encryption = NULL_CIPHER
      },
      /keyslots/,
    ],
    [
      'so that discards are passed on',
      ({ config }) => {
        config.flags = ['allow-discards']
      },
      /config/,
    ],
    [
      'so that there is another key slot',
      ({ keyslots, digests }) => {
        keyslots[1] = { ...keyslots[0], area: { ...keyslots[0].area, offset: '2355200' } }
        digests[0].keyslots.push('1')
      },
      /keyslots/,
    ],
    [
      'so that its data lie elsewhere',
      ({ segments }) => {
        segments[0].offset = '5242880'
      },
      /segments/,
    ],
    [
      'so that it has no key slot',
      (metadata) => {
        delete (metadata.keyslots as Record<number, unknown>)[0]
        metadata.digests[0].keyslots = []
        metadata.tokens[0].keyslots = []
      },
      /has no keyslots\.0\.kdf/,
    ],
  ])('%s', async (_, edit, part) => {
    const disk = await copyOf(good)
    await forgeHeader(disk, edit)
    await refuses(disk, 'state.disk', part)
  })

  test('in its first copy alone is opened by its second', async () => {
    const disk = await copyOf(good)
    const bytes = await readFile(disk)
    bytes.fill(0xff, 0, 4096)
    await writeFile(disk, bytes)
    expect(await machine.bringUp(one, disk)).toBe('opened')
  })

  test('in its key slot does not open, and says so', async () => {
    const disk = await copyOf(good)
    const bytes = await readFile(disk)
    bytes[(2 << 20) + 5]! ^= 1
    await writeFile(disk, bytes)
    await expect(machine.bringUp(one, disk)).rejects.toThrow('No key available')
  })
})

describe('a token that was changed', () => {
  type Token = Record<string, unknown>
  const flip = (hex: unknown, at: number) => {
    const bytes = Buffer.from(hex as string, 'hex')
    bytes[at < 0 ? bytes.length + at : at]! ^= 1
    return bytes.toString('hex')
  }
  const cases: [string, (token: Token) => void, string, RegExp][] = [
    ['has one more member', (t) => (t.more = '1'), 'state.disk', /has the members .*more/],
    ['lacks one', (t) => delete t.parent, 'state.disk', /has the members/],
    ['is of another version', (t) => (t.version = '2'), 'state.disk', /not ours/],
    ['has a number for text', (t) => (t.counter_limit = 1), 'state.disk', /counter_limit/],
    [
      'has a limit beyond all',
      (t) => (t.counter_limit = '9'.repeat(18)),
      'state.locked',
      /set back/,
    ],
    ['has version 0', (t) => (t.security_version = '0'), 'state.disk', /security_version/],
    ['has version 99', (t) => (t.security_version = '99'), 'state.disk', /security_version/],
    ['has upper-case hex', (t) => (t.private = 'AB'), 'state.disk', /private is malformed/],
    ['has half a byte', (t) => (t.private = 'abc'), 'state.disk', /private is malformed/],
    ['has another parent', (t) => (t.parent = flip(t.parent, 9)), 'state.locked', /another TPM/],
    [
      'has a secret with one bit changed',
      (t) => (t.private = flip(t.private, 40)),
      'state.locked',
      /altered/,
    ],
    [
      'has a secret cut short',
      (t) => (t.private = (t.private as string).slice(0, -2)),
      'state.locked',
      /altered/,
    ],
    ['has one byte of a secret', (t) => (t.private = '00'), 'state.locked', /altered/],
    [
      'has another policy',
      (t) => (t.public = flip(t.public, 12)),
      'state.locked',
      /token was altered/,
    ],
    [
      'has the password allowed',
      (t) => (t.public = flip(t.public, 7)),
      'state.locked',
      /token was altered/,
    ],
    ['has another unique part', (t) => (t.public = flip(t.public, -1)), 'state.locked', /altered/],
  ]
  test.each(cases)('%s', async (_, edit, code, message) => {
    const disk = await copyOf(good)
    await forgeHeader(disk, ({ tokens }) => void edit(tokens[0]))
    await refuses(disk, code, message)
  })

  test('away, or replaced by one of another kind', async () => {
    const disk = await copyOf(good)
    await forgeHeader(disk, (metadata) => {
      delete (metadata.tokens as Record<number, unknown>)[0]
    })
    await refuses(disk, 'state.disk', /has 0 tokens/)
    await forgeHeader(disk, (metadata) => {
      metadata.tokens = { 0: { type: 'luks2-keyring', keyslots: ['0'], key_description: 'mine' } }
    })
    await refuses(disk, 'state.disk', /has the members/)
  })
})

describe('a key that somebody else chose', () => {
  const name = keyName(one.key.area)
  const known = randomBytes(32)
  const secret = () => secretTemplate(secretPolicy(name, 1, 1n))
  const pcrs = [7]

  test('is not sealed below the parent by another system, whatever it asserts', async () => {
    await machine.reboot()
    await onTpm(machine.tpm, async (execute) => {
      const { handle } = await execute(createPrimary(parentTemplate(name, 1), HANDLE.owner))
      const password = new Uint8Array([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0])
      await expect(execute(create(handle, secret(), known, password))).rejects.toThrow(
        'TPM_RC_AUTH_UNAVAILABLE',
      )
      const session = await execute(startPolicySession(randomBytes(32)))
      const { digests } = await execute(pcrRead(pcrs))
      await execute(policyPcr(session, sha256(digests[0]!), pcrs))
      await expect(
        execute(create(handle, secret(), known, policySession(session))),
      ).rejects.toThrow('TPM_RC_POLICY_FAIL')
    })
  })

  test('and one sealed below another parent does not load', async () => {
    const disk = await copyOf(good)
    await machine.reboot()
    const blob = await onTpm(machine.tpm, async (execute) => {
      // The same storage key but for its policy, under which an empty password is enough.
      const template = Buffer.from(parentTemplate(name, 1))
      template[7]! |= 0x40
      const made = await execute(createPrimary(template, HANDLE.owner))
      const password = new Uint8Array([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0])
      expect(toHex(made.name)).not.toBe(toHex(authorizedPolicy(name, 1)))
      return execute(create(made.handle, secret(), known, password))
    })
    await forgeHeader(disk, ({ tokens }) => {
      tokens[0].public = toHex(blob.public)
      tokens[0].private = toHex(blob.private)
    })
    await machine.boot(one)
    await refuses(disk, 'state.locked', /altered, or is not this state's/)
  })
})

test('the service says what is wrong, and ends with 1', async () => {
  const main = new URL('../embassy/src/state-disk/main.ts', import.meta.url).pathname
  const said = (...args: string[]) =>
    run(process.execPath, [main, ...args]).then(
      () => ({ code: 0, stderr: '' }),
      ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
    )
  const usage = await said('--device', '/dev/null')
  expect(usage).toMatchObject({ code: 1, stderr: expect.stringContaining('usage: ') })
  expect(await said('--odd')).toMatchObject({ code: 1, stderr: expect.stringContaining('--odd') })
})
