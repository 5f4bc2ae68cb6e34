// The digests that the release signs and that states are sealed under, against those that tpm2-tools and the TPM come to
// in trial sessions; and approvals against openssl.
// Mutants tried, each found here: another order of PCR values; PolicyNV left out, its offset and operation exchanged,
// another operation; a Name without TPMA_NV_WRITTEN; a policyRef hashed before it is appended; a template without noDA.
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toHex } from '@sealed/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseApprovals, writeApprovals } from '../embassy/src/state-disk/approvals.ts'
import {
  approvedBytes,
  approvedPolicy,
  authorizedPolicy,
  IMAGE_PCRS,
  keyName,
  parentTemplate,
  policyKeyArea,
  policyRef,
  STATE_COUNTER,
  STATE_PCRS,
  secretPolicy,
} from '../embassy/src/state-disk/policy.ts'
import { signApprovals } from '../embassy/src/state-disk/sign.ts'
import {
  createPrimary,
  flushContext,
  HANDLE,
  pcrExtend,
  pcrRead,
} from '../embassy/src/tpm/commands.ts'
import { defineCounter } from '../embassy/src/tpm/nv.ts'
import type { SoftwareTpm } from '../scripts/world/tpm.ts'
import { type Lab, openLab, run, tpm2 } from './support/software-tpm.ts'
import { onTpm } from './support/state-machine.ts'

let lab: Lab
let world: SoftwareTpm
let directory: string
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const area = policyKeyArea(publicKey.export({ format: 'jwk' }))
const name = keyName(area)
const INDEX = `0x${STATE_COUNTER.toString(16)}`

beforeAll(async () => {
  lab = await openLab()
  world = await lab.start()
  directory = await mkdtemp(join(tmpdir(), 'sealed-policy-'))
  await writeFile(file('key.pem'), publicKey.export({ format: 'pem', type: 'spki' }))
})
afterAll(async () => {
  await lab.close()
  await rm(directory, { recursive: true })
})

const file = (path: string) => join(directory, path)
const tools = (...args: string[]) => tpm2(world, ...args)
const readHex = async (path: string) => toHex(new Uint8Array(await readFile(file(path))))
const pcrs = () =>
  onTpm(world, async (execute) => {
    const { selected, digests } = await execute(pcrRead(STATE_PCRS))
    return new Map(selected.map((pcr, i) => [pcr, digests[i]!]))
  })

test('the Name of the policy key is the one that tpm2_loadexternal finds for its PEM', async () => {
  await tools(
    'loadexternal',
    '-G',
    'ecc',
    '-C',
    'o',
    '-u',
    file('key.pem'),
    '-c',
    file('key.ctx'),
    '-n',
    file('key.name'),
  )
  await tools('flushcontext', '-t')
  expect(await readHex('key.name')).toBe(toHex(name))
})

test('the policies are those of tpm2_policypcr, tpm2_policyauthorize and tpm2_policynv', async () => {
  await onTpm(world, async (execute) => {
    for (const pcr of STATE_PCRS) await execute(pcrExtend(pcr, new Uint8Array(32).fill(pcr)))
    await defineCounter(execute, STATE_COUNTER)
  })
  await writeFile(file('ref'), policyRef(3))
  await tools('startauthsession', '-S', file('trial'))
  await tools(
    'policypcr',
    '-S',
    file('trial'),
    '-l',
    `sha256:${STATE_PCRS}`,
    '-L',
    file('pcr.policy'),
  )
  await tools('flushcontext', file('trial'))
  expect(await readHex('pcr.policy')).toBe(toHex(approvedPolicy(await pcrs())))

  await writeFile(file('name'), name)
  await tools('startauthsession', '-S', file('trial'))
  await tools(
    'policyauthorize',
    '-S',
    file('trial'),
    '-i',
    file('pcr.policy'),
    '-n',
    file('name'),
    '-q',
    file('ref'),
    '-L',
    file('auth.policy'),
  )
  expect(await readHex('auth.policy')).toBe(toHex(authorizedPolicy(name, 3)))
  await writeFile(file('bound'), new Uint8Array([0, 0, 0, 0, 0, 0, 1, 7]))
  await tools(
    'policynv',
    '-S',
    file('trial'),
    '-C',
    INDEX,
    '-i',
    file('bound'),
    '-L',
    file('nv.policy'),
    INDEX,
    'ule',
  )
  await tools('flushcontext', file('trial'))
  expect(await readHex('nv.policy')).toBe(toHex(secretPolicy(name, 3, 263n)))
})

test('the parent is the key that tpm2_createprimary makes under that policy, and no other version', async () => {
  const made = (version: number) =>
    onTpm(world, async (execute) => {
      const key = await execute(createPrimary(parentTemplate(name, version), HANDLE.owner))
      await execute(flushContext(key.handle))
      return toHex(key.name)
    })
  await writeFile(file('parent.policy'), authorizedPolicy(name, 3))
  const attributes = 'fixedtpm|fixedparent|sensitivedataorigin|noda|restricted|decrypt'
  await tools(
    'createprimary',
    '-C',
    'o',
    '-G',
    'ecc256:aes128cfb',
    '-g',
    'sha256',
    '-a',
    attributes,
    '-L',
    file('parent.policy'),
    '-c',
    file('parent.ctx'),
  )
  await tools('readpublic', '-c', file('parent.ctx'), '-n', file('parent.name'))
  await tools('flushcontext', '-t')
  expect(await made(3)).toBe(await readHex('parent.name'))
  expect(await made(2)).not.toBe(await made(3))
})

test('approvals verify under openssl and survive their file', async () => {
  const values = await pcrs()
  const given = new Map(IMAGE_PCRS.map((pcr) => [pcr, values.get(pcr)!]))
  const approvals = signApprovals(privateKey, [{ name: 'gce', pcrs: given }], { oldest: 2, own: 3 })
  expect(parseApprovals(writeApprovals(approvals))).toEqual(
    approvals.map((row) => ({
      ...row,
      signatures: new Map([...row.signatures].map(([v, s]) => [v, new Uint8Array(s)])),
    })),
  )
  expect([...approvals[0]!.signatures.keys()]).toEqual([2, 3])
  for (const [version, signature] of approvals[0]!.signatures) {
    await writeFile(file('message'), approvedBytes(approvedPolicy(approvals[0]!.pcrs), version))
    const [r, s] = [signature.subarray(0, 32), signature.subarray(32)].map((n) =>
      Buffer.from(n).toString('hex'),
    )
    await writeFile(file('asn1'), `asn1=SEQUENCE:s\n[s]\nr=INTEGER:0x${r}\ns=INTEGER:0x${s}\n`)
    await run('openssl', [
      'asn1parse',
      '-genconf',
      file('asn1'),
      '-noout',
      '-out',
      file('signature'),
    ])
    const verify = [
      'dgst',
      '-sha256',
      '-verify',
      file('key.pem'),
      '-signature',
      file('signature'),
      file('message'),
    ]
    expect((await run('openssl', verify)).stdout).toBe('Verified OK\n')
  }
})

test('the tool signs what the image reads, and refuses a set that is not whole', async () => {
  await writeFile(file('private.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }))
  const values = Object.fromEntries(IMAGE_PCRS.map((pcr) => [pcr, 'ab'.repeat(32)]))
  const tool = new URL('../embassy/src/state-disk/sign-main.ts', import.meta.url).pathname
  const sign = async (sets: unknown, ...args: string[]) => {
    await writeFile(file('sets.json'), JSON.stringify(sets))
    const base = [
      '--key',
      file('private.pem'),
      '--pcrs',
      file('sets.json'),
      '--out',
      file('out.json'),
    ]
    return run(process.execPath, [tool, ...base, ...args])
  }
  await sign(
    { gce: values, 'gce-tdx': { ...values, 4: 'cd'.repeat(32) } },
    '--security-version',
    '2',
  )
  const approvals = parseApprovals(await readFile(file('out.json'), 'utf8'))
  expect(approvals.map((row) => [row.name, row.signatures.size])).toEqual([
    ['gce', 2],
    ['gce-tdx', 2],
  ])
  expect(approvals[1]!.pcrs.get(14)).toEqual(new Uint8Array(32))

  const { 12: _, ...short } = values
  await expect(sign({ gce: short }, '--security-version', '2')).rejects.toThrow('gce has no PCR 12')
  await expect(
    sign({ gce: { ...values, 0: 'ab'.repeat(32) } }, '--security-version', '2'),
  ).rejects.toThrow('PCR 0 is no part')
  await expect(sign({ gce: values }, '--security-version', '1', '--oldest', '2')).rejects.toThrow(
    'versions 2 to 1',
  )
  await expect(sign({ gce: values })).rejects.toThrow('versions 1 to NaN')
})
