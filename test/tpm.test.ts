// The embassy's TPM code against a real software TPM, judged by tpm2-tools, openssl and Web Crypto.
import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openTpm, type Quote, type Tpm } from '../embassy/src/tpm/index.ts'
import type { SoftwareTpm } from '../scripts/world/tpm.ts'
import { pcrFile } from './support/check-quote.ts'
import { kill, type Lab, openLab, run, tpm2 } from './support/software-tpm.ts'

let lab: Lab
const opened: Tpm[] = []
const COUNTER = 0x01500018
const CHAIN = 0x01500019
const PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15]
const ALL = Array.from({ length: 24 }, (_, pcr) => pcr)

beforeAll(async () => {
  lab = await openLab()
})
afterEach(async () => {
  for (const tpm of opened.splice(0)) await tpm.close()
})
afterAll(() => lab.close())

async function open(world: SoftwareTpm, options?: { timeoutMs: number }): Promise<Tpm> {
  const tpm = await openTpm(world.socketPath, options)
  opened.push(tpm)
  return tpm
}

const sha256 = (...parts: Uint8Array[]) =>
  new Uint8Array(createHash('sha256').update(Buffer.concat(parts)).digest())
const failed = (message: RegExp) =>
  expect.objectContaining({
    code: 'tpm.failed',
    message: expect.stringMatching(message) as string,
  })

/** Checks a quote from the structures' definition alone: offsets counted by hand, keys from the certificate. */
async function verifyByHand(quote: Quote, certificate: Uint8Array): Promise<boolean> {
  const key = new X509Certificate(certificate).publicKey
  const spki = new Uint8Array(key.export({ format: 'der', type: 'spki' }))
  const signature = Buffer.from(quote.signature)
  if (key.asymmetricKeyType === 'rsa') {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    const imported = await crypto.subtle.importKey('spki', spki, algorithm, false, ['verify'])
    expect(signature.subarray(0, 6).toString('hex')).toBe('0014000b0100')
    return crypto.subtle.verify(algorithm, imported, signature.subarray(6), bytes(quote.attest))
  }
  const algorithm = { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' }
  const imported = await crypto.subtle.importKey('spki', spki, algorithm, false, ['verify'])
  expect(signature.subarray(0, 4).toString('hex')).toBe('0018000b')
  const rLength = signature.readUInt16BE(4)
  const r = signature.subarray(6, 6 + rLength)
  const s = signature.subarray(8 + rLength)
  expect(s.length).toBe(signature.readUInt16BE(6 + rLength))
  const raw = new Uint8Array(64)
  raw.set(r, 32 - r.length)
  raw.set(s, 64 - s.length)
  return crypto.subtle.verify(algorithm, imported, raw, bytes(quote.attest))
}
const bytes = (value: Uint8Array) => new Uint8Array(value)

describe.each(['ecdsa-p256', 'rsassa-2048'] as const)('a %s attestation key', (algorithm) => {
  let world: SoftwareTpm
  beforeAll(async () => {
    world = await lab.start(algorithm)
    if (algorithm === 'rsassa-2048') await tpm2(world, 'nvundefine', '-C', 'p', '0x01c10003')
  })

  test('is chosen, certified down from the root, and named by its digest', async () => {
    const { ak } = await open(world)
    expect(ak.algorithm).toBe(algorithm)
    expect(ak.name).toEqual(new Uint8Array([0, 0x0b, ...sha256(ak.public)]))
    const leaf = new X509Certificate(ak.certificate)
    expect(leaf.subject).toMatch(/^L=software\nO=Google Compute Engine\nOU=software-tpm\nCN=\d+$/)
    const pem = join(lab.directory, `${algorithm}.leaf.pem`)
    await writeFile(pem, leaf.toString())
    const chain = ['-CAfile', world.chainPath, '-untrusted', world.chainPath]
    const verdict = await run('openssl', ['verify', '-x509_strict', ...chain, pem])
    expect(verdict.stdout).toBe(`${pem}: OK\n`)
    const { stdout } = await run('openssl', ['x509', '-in', pem, '-noout', '-text'])
    expect(stdout).toMatch(/Key Usage: critical\s+Digital Signature\n/)
    expect(stdout).toMatch(/Basic Constraints: critical\s+CA:FALSE\n/)
    expect(stdout).toContain('1.3.6.1.4.1.11129.2.1.21')
  })

  test('makes quotes that Web Crypto and tpm2_checkquote accept', async () => {
    const tpm = await open(world)
    const nonce = randomBytes(32)
    await tpm.extend(14, sha256(nonce))
    const quote = await tpm.quote(nonce, [...PCRS].reverse())
    const values = Buffer.concat([...(await tpm.readPcrs(PCRS)).values()])

    expect(await verifyByHand(quote, tpm.ak.certificate)).toBe(true)
    const attest = Buffer.from(quote.attest)
    expect(attest.readUInt32BE(0)).toBe(0xff544347)
    expect(attest.readUInt16BE(4)).toBe(0x8018)
    expect(attest.subarray(44, 76)).toEqual(nonce)
    expect(attest.subarray(101, 111).toString('hex')).toBe('00000001000b03ffdb00')
    expect(new Uint8Array(attest.subarray(-32))).toEqual(sha256(values))

    const file = (name: string) => join(lab.directory, `${algorithm}.${name}`)
    await writeFile(file('attest'), quote.attest)
    await writeFile(file('signature'), quote.signature)
    await writeFile(file('pcrs'), pcrFile(PCRS, values))
    const key = new X509Certificate(tpm.ak.certificate).publicKey
    await writeFile(file('pem'), key.export({ format: 'pem', type: 'spki' }))
    const check = (extraData: Uint8Array) =>
      tpm2(
        undefined,
        ...['checkquote', '-u', file('pem'), '-m', file('attest'), '-s', file('signature')],
        ...['-f', file('pcrs'), '-g', 'sha256', '-q', Buffer.from(extraData).toString('hex')],
      )
    await check(nonce)
    await expect(check(randomBytes(32))).rejects.toThrow()
    const swapped = Buffer.concat([values.subarray(32), values.subarray(0, 32)])
    await writeFile(file('pcrs'), pcrFile(PCRS, swapped))
    await expect(check(nonce)).rejects.toThrow()
  })

  test('and a quote with one bit changed is not its own', async () => {
    const tpm = await open(world)
    const quote = await tpm.quote(randomBytes(32), [14])
    quote.attest[50]! ^= 1
    expect(await verifyByHand(quote, tpm.ak.certificate)).toBe(false)
  })
})

describe('PCRs', () => {
  test('all 24 are read, and an extend is SHA-256(old ‖ digest) on that PCR only', async () => {
    const world = await lab.start('pcrs')
    const tpm = await open(world)
    const before = await tpm.readPcrs(ALL)
    expect([...before.keys()]).toEqual(ALL)
    expect(before.get(14)).toEqual(new Uint8Array(32))
    expect(before.get(17)).toEqual(new Uint8Array(32).fill(255))
    const digests = [sha256(bytes(randomBytes(4))), sha256(bytes(randomBytes(4)))]
    for (const digest of digests) await tpm.extend(14, digest)
    const expected = digests.reduce((old, digest) => sha256(old, digest), new Uint8Array(32))
    const after = await tpm.readPcrs(ALL)
    expect(after).toEqual(new Map(before).set(14, expected))
    await tpm.close()
    const listed = await tpm2(world, 'pcrread', 'sha256:14')
    expect(listed).toContain(`0x${Buffer.from(expected).toString('hex').toUpperCase()}`)
  })

  test.each<[string, (tpm: Tpm) => Promise<unknown>]>([
    ['a PCR beyond 23', (tpm) => tpm.readPcrs([24])],
    ['a PCR twice', (tpm) => tpm.readPcrs([1, 1])],
    ['a quote over nothing', (tpm) => tpm.quote(new Uint8Array(32), [])],
    ['a digest of another size', (tpm) => tpm.extend(14, new Uint8Array(20))],
    ['empty extraData', (tpm) => tpm.quote(new Uint8Array(), [1])],
    ['65 bytes of extraData', (tpm) => tpm.quote(new Uint8Array(65), [1])],
  ])('%s never reaches the TPM', async (_, call) => {
    const world = await lab.start('arguments')
    const tpm = await open(world)
    await expect(call(tpm)).rejects.toMatchObject({ code: 'internal.error' })
    await tpm.close()
    await world.stop()
  })
})

test('a reboot zeroes the PCRs and raises resetCount by one', async () => {
  const world = await lab.start('reboot')
  const tpm = await open(world)
  await tpm.extend(8, sha256())
  const before = await tpm.clock()
  // As an operating system does: users of the TPM first, then TPM2_Shutdown, then power.
  await tpm.close()
  await world.stop()
  await lab.start('reboot')
  const after = await (await open(world)).clock()
  expect(after.resetCount).toBe(before.resetCount + 1)
  expect(after).toMatchObject({ restartCount: 0, safe: true })
  expect(after.clockMs).toBeGreaterThanOrEqual(before.clockMs)
  expect((await opened.at(-1)!.readPcrs([8])).get(8)).toEqual(new Uint8Array(32))
})

describe('NV', () => {
  test('a counter survives reboot and SIGKILL, and never falls', async () => {
    let world = await lab.start('counter')
    let tpm = await open(world)
    await tpm.counter.define(COUNTER)
    let last = await tpm.counter.read(COUNTER)
    for (const end of ['stop', 'kill', 'stop', 'kill']) {
      await tpm.counter.define(COUNTER)
      expect(await tpm.counter.read(COUNTER)).toBe(last)
      await tpm.counter.increment(COUNTER)
      expect(await tpm.counter.read(COUNTER)).toBe(last + 1n)
      last += 1n
      await (end === 'stop' ? world.stop() : kill(world.pid))
      world = await lab.start('counter')
      tpm = await open(world)
      expect(await tpm.counter.read(COUNTER)).toBe(last)
    }
    await tpm.close()
    await tpm2(world, 'nvundefine', '-C', 'o', `0x${COUNTER.toString(16)}`)
    tpm = await open(world)
    await tpm.counter.define(COUNTER)
    expect(await tpm.counter.read(COUNTER)).toBeGreaterThan(last)
  })

  test('a chain starts at zeros and grows by SHA-256(old ‖ data)', async () => {
    const world = await lab.start('chain')
    const tpm = await open(world)
    await tpm.defineExtendNv(CHAIN)
    expect(await tpm.readNv(CHAIN)).toEqual(new Uint8Array(32))
    const data = [bytes(randomBytes(32)), bytes(randomBytes(512)), new Uint8Array([7])]
    for (const part of data) await tpm.extendNv(CHAIN, part)
    const expected = data.reduce((old, part) => sha256(old, part), new Uint8Array(32))
    expect(await tpm.readNv(CHAIN)).toEqual(expected)
    await tpm.defineExtendNv(CHAIN)
    expect(await tpm.readNv(CHAIN)).toEqual(expected)
  })

  test('an index of another kind, and one that is not there, are named', async () => {
    const world = await lab.start('kinds')
    const tpm = await open(world)
    await tpm.counter.define(COUNTER)
    await expect(tpm.defineExtendNv(COUNTER)).rejects.toThrow(failed(/NV index 0x1500018 exists/))
    await expect(tpm.readNv(CHAIN)).rejects.toThrow(failed(/NV index 0x1500019 does not exist/))
    await expect(tpm.counter.read(CHAIN)).rejects.toThrow(failed(/TPM2_NV_Read .*TPM_RC_HANDLE/))
    await expect(tpm.counter.increment(0x01c10000)).rejects.toThrow(failed(/TPM2_NV_Increment/))
  })
})

describe('a certificate that is not the key’s is refused', () => {
  const replace = async (name: string, certificate: Uint8Array) => {
    const world = await lab.start(name)
    const file = join(lab.directory, `${name}.der`)
    await writeFile(file, certificate)
    await tpm2(world, 'nvundefine', '-C', 'p', '0x01c10002')
    const attributes = 'ppwrite|ppread|ownerread|authread|no_da|platformcreate'
    const size = ['-s', String(certificate.length)]
    await tpm2(world, 'nvdefine', '-C', 'p', ...size, '-a', attributes, '0x01c10002')
    await tpm2(world, 'nvwrite', '-C', 'p', '-i', file, '0x01c10002')
    return world
  }

  test('one for another key of the same kind', async () => {
    const key = join(lab.directory, 'other.key')
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', key]
    const { stdout } = await run('openssl', ['req', '-x509', '-nodes', '-subj', '/CN=other', ...ec])
    const world = await replace('other-key', bytes(new X509Certificate(stdout).raw))
    await expect(open(world)).rejects.toThrow(failed(/is not the one in its certificate/))
  })

  test('the one of the TPM’s other key', async () => {
    const world = await lab.start('swapped')
    await tpm2(world, 'nvread', '-C', 'o', '0x01c10000', '-o', join(lab.directory, 'rsa.der'))
    await world.stop()
    const swapped = await replace('swapped', await readFile(join(lab.directory, 'rsa.der')))
    await expect(open(swapped)).rejects.toThrow(failed(/is not the one in its certificate/))
  })

  test('one that is no certificate', async () => {
    const world = await replace('garbage', bytes(randomBytes(600)))
    await expect(open(world)).rejects.toThrow(failed(/is not X.509/))
  })

  test('none at all', async () => {
    const world = await lab.start('bare')
    for (const index of ['0x01c10003', '0x01c10001'])
      await tpm2(world, 'nvundefine', '-C', 'p', index)
    await expect(open(world)).rejects.toThrow(failed(/holds no attestation key template/))
  })
})
