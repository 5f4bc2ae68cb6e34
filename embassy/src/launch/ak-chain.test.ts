// The chain of an attestation key as its certificates lead to it. Mutants tried: the issuer's signature not held against
// the certificate (an impostor of the same name passes); no bound on how many are followed.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { certifyKey, createAuthority } from '../../../scripts/world/certificates.ts'
import { run } from '../../../scripts/world/run.ts'
import { issuersOf } from './ak-chain.ts'

const ISSUERS = 'http://issuers.test'
let directory: string
let leaf: Uint8Array
const files = new Map<string, Uint8Array>()

/** An authority, and a key that it certified; `issuers` undefined leaves the addresses out of use. */
async function authority(name: string): Promise<string> {
  const work = await mkdtemp(join(directory, `${name}-`))
  await createAuthority(work, ISSUERS)
  await run('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'ecc.key'], {
    cwd: work,
  })
  await run('openssl', ['pkey', '-in', 'ecc.key', '-pubout', '-out', 'ecc.pub.pem'], { cwd: work })
  const instance = { zone: 'z', project: 'p', id: '1', name: 'n' }
  await certifyKey(work, 'ecc', instance, ISSUERS)
  await run('openssl', ['x509', '-in', 'intermediate.pem', '-outform', 'DER', '-out', 'int.der'], {
    cwd: work,
  })
  return work
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-chain-'))
  const [true_, impostor] = [await authority('true'), await authority('impostor')]
  leaf = await readFile(join(true_, 'ecc.der'))
  files.set(`${ISSUERS}/intermediate.crt`, await readFile(join(true_, 'int.der')))
  files.set(`${ISSUERS}/root.crt`, await readFile(join(true_, 'root.der')))
  files.set('impostor', await readFile(join(impostor, 'int.der')))
}, 60_000)
afterAll(() => rm(directory, { recursive: true }))

const serve = (replaced: Record<string, string> = {}) => {
  const asked: string[] = []
  const fetch = async (url: string) => {
    asked.push(url)
    return files.get(replaced[url] ?? url)!
  }
  return { asked, fetch }
}

test('collects issuer and root, in that order, from where the certificates say', async () => {
  const { asked, fetch } = serve()
  const pem = await issuersOf(leaf, fetch)
  expect(asked).toEqual([`${ISSUERS}/intermediate.crt`, `${ISSUERS}/root.crt`])
  expect(pem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
  expect(pem.endsWith('-----END CERTIFICATE-----\n')).toBe(true)
})

test('refuses an issuer of the right name that did not sign', async () => {
  const { fetch } = serve({ [`${ISSUERS}/intermediate.crt`]: 'impostor' })
  await expect(issuersOf(leaf, fetch)).rejects.toThrow('did not issue')
})

test('refuses what is no certificate', async () => {
  await expect(issuersOf(leaf, async () => new Uint8Array(9))).rejects.toThrow('not a certificate')
})

test('has nothing to fetch for a root', async () => {
  expect(await issuersOf(files.get(`${ISSUERS}/root.crt`)!, serve().fetch)).toBe('')
})
