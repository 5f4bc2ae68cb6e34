// What a chain must look like before an attestation key is believed: each rule with the chain that breaks only it.
import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
} from '@peculiar/x509'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, concat, sha256Hex } from '../bytes.ts'
import { type AttestationPublicKey, importAttestationKey } from '../quote.ts'
import { checkAkChain } from './ak-chain.ts'
import { caExtensions, createAk, issueChain, leafExtensions, type TestAk } from './test-tpm.ts'
import { NOW } from './test-world.ts'

let ak: TestAk
let key: AttestationPublicKey
beforeAll(async () => {
  ak = await createAk()
  key = await importAttestationKey(ak.public)
})

type Fields = Parameters<typeof issueChain>[2]
const DAY_MS = 86_400_000

/** Judges a chain whose own root is trusted. */
async function judge(chain: Bytes[], at = NOW): Promise<string> {
  const root = await sha256Hex(chain.at(-1) ?? ak.public)
  return (await checkAkChain(chain, key, [root], at)).summary
}
const issued = async (fields: Fields) => judge(await issueChain(ak.publicKey, NOW, fields))
const leafWith = (usages: number) => [
  new BasicConstraintsExtension(false, undefined, true),
  new KeyUsagesExtension(usages, true),
]
const p256 = async () =>
  (await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair

describe('a chain', () => {
  it('leads from the key to a trusted root', async () => {
    expect(await issued({})).toBe('chain of 3 to CN=Test root')
  })

  it('leads there for an RSA key too', async () => {
    const rsa = await createAk('rsassa')
    const chain = await issueChain(rsa.publicKey, NOW)
    const root = await sha256Hex(chain.at(-1)!)
    const imported = await importAttestationKey(rsa.public)
    expect((await checkAkChain(chain, imported, [root], NOW)).summary).toContain('chain of 3')
    await expect(checkAkChain(chain, key, [root], NOW)).rejects.toThrow()
  })

  it('may be as short as leaf and root, and no shorter', async () => {
    const { privateKey, publicKey } = await p256()
    const root = { publicKey, signingKey: privateKey }
    const chain = await issueChain(ak.publicKey, NOW, {
      root,
      leaf: { issuer: 'CN=Test root', signingKey: privateKey },
    })
    const [leaf, , top] = chain
    expect(await judge([leaf!, top!])).toBe('chain of 2 to CN=Test root')
    await expect(judge([leaf!])).rejects.toThrow('needs a leaf and a root')
    await expect(judge([])).rejects.toThrow('needs a leaf and a root')
  })

  it('is whole and in order', async () => {
    const [leaf, middle, root] = (await issueChain(ak.publicKey, NOW)) as [Bytes, Bytes, Bytes]
    await expect(judge([leaf, root])).rejects.toThrow('does not name its issuer')
    await expect(judge([middle, leaf, root])).rejects.toThrow()
    await expect(judge([leaf, middle])).rejects.toThrow('certificate 1 does not name its issuer')
    await expect(judge([leaf, middle, middle, root])).rejects.toThrow()
  })

  it('ends in a root that is named', async () => {
    const chain = await issueChain(ak.publicKey, NOW)
    await expect(checkAkChain(chain, key, [], NOW)).rejects.toThrow(
      'not one that the policy trusts',
    )
    const leaf = await sha256Hex(chain[0]!)
    await expect(checkAkChain(chain, key, [leaf], NOW)).rejects.toThrow('not one that the policy')
  })

  it('certifies this very key', async () => {
    const other = await createAk()
    await expect(judge(await issueChain(other.publicKey, NOW))).rejects.toThrow(
      'certifies another key',
    )
  })

  it('is signed all the way', async () => {
    const { privateKey: signingKey } = await p256()
    await expect(issued({ leaf: { signingKey } })).rejects.toThrow('certificate 0 is not signed')
    await expect(issued({ middle: { signingKey } })).rejects.toThrow('certificate 1 is not signed')
    await expect(issued({ root: { signingKey } })).rejects.toThrow('certificate 2 is not signed')
  })

  it('names its issuers, not merely keys', async () => {
    for (const own of ['leaf', 'middle', 'root'] as const)
      await expect(issued({ [own]: { issuer: 'CN=Somebody else' } })).rejects.toThrow(
        'does not name its issuer',
      )
  })

  it('is valid at the time, every certificate of it', async () => {
    for (const own of ['leaf', 'middle', 'root'] as const) {
      await expect(issued({ [own]: { notAfter: new Date(NOW - 1000) } })).rejects.toThrow(
        'not valid at',
      )
      await expect(issued({ [own]: { notBefore: new Date(NOW + 1000) } })).rejects.toThrow(
        'not valid at',
      )
    }
    const chain = await issueChain(ak.publicKey, NOW)
    await expect(judge(chain, NOW - 2 * DAY_MS)).rejects.toThrow('not valid at')
    await expect(judge(chain, NOW + 366 * DAY_MS)).rejects.toThrow('not valid at')
  })

  it('has CAs above the leaf and none below', async () => {
    for (const own of ['middle', 'root'] as const) {
      await expect(issued({ [own]: { extensions: [] } })).rejects.toThrow('is no CA')
      await expect(
        issued({ [own]: { extensions: leafWith(KeyUsageFlags.keyCertSign) } }),
      ).rejects.toThrow('is no CA')
    }
    await expect(issued({ leaf: { extensions: caExtensions() } })).rejects.toThrow('leaf is a CA')
  })

  it('has CAs that may sign certificates', async () => {
    for (const own of ['middle', 'root'] as const) {
      const constraints = new BasicConstraintsExtension(true, undefined, true)
      const usage = new KeyUsagesExtension(KeyUsageFlags.cRLSign, true)
      await expect(issued({ [own]: { extensions: [constraints, usage] } })).rejects.toThrow(
        'may not sign certificates',
      )
      await expect(issued({ [own]: { extensions: [constraints] } })).resolves.toContain('chain')
    }
  })

  it('keeps to the length that its CAs allow', async () => {
    await expect(issued({ root: { extensions: caExtensions(0) } })).rejects.toThrow('too long')
    await expect(issued({ root: { extensions: caExtensions(1) } })).resolves.toContain('chain of 3')
    await expect(issued({ middle: { extensions: caExtensions(0) } })).resolves.toContain('chain')
  })

  it('has a leaf that is a signing key', async () => {
    const usages = [KeyUsageFlags.keyEncipherment, KeyUsageFlags.keyCertSign]
    for (const usage of usages)
      await expect(issued({ leaf: { extensions: leafWith(usage) } })).rejects.toThrow(
        'not a signing key (KeyUsage)',
      )
    const { digitalSignature, keyEncipherment, dataEncipherment, keyAgreement } = KeyUsageFlags
    for (const usage of [keyEncipherment, dataEncipherment, keyAgreement])
      await expect(
        issued({ leaf: { extensions: leafWith(digitalSignature | usage) } }),
      ).rejects.toThrow('encryption key (KeyUsage)')
    await expect(issued({ leaf: { extensions: [] } })).rejects.toThrow('KeyUsage')
  })

  it('has no critical extension that nobody here understands', async () => {
    const extra = (type: string, critical: boolean) =>
      new Extension(type, critical, Uint8Array.of(0x30, 0))
    const [constraints, names] = ['2.5.29.36', '2.5.29.17']
    for (const own of ['leaf', 'middle', 'root'] as const) {
      const usual = own === 'leaf' ? leafExtensions() : caExtensions()
      const withExtra = (...more: Extension[]) =>
        issued({ [own]: { extensions: [...usual, ...more] } })
      await expect(withExtra(extra(constraints, true))).rejects.toThrow('unknown critical')
      await expect(withExtra(extra(constraints, false))).resolves.toContain('chain of 3')
      await expect(withExtra(extra('1.2.3.4', true))).rejects.toThrow('unknown critical')
      await expect(withExtra(extra('1.2.3', false), extra('1.2.3', false))).rejects.toThrow('twice')
      const named = withExtra(new Extension(names, true, Uint8Array.of(0x30, 0)))
      if (own === 'leaf') await expect(named).resolves.toContain('chain of 3')
      else await expect(named).rejects.toThrow('unknown critical')
    }
  })

  it('has nothing before, after or in place of its certificates', async () => {
    const chain = await issueChain(ak.publicKey, NOW)
    for (const [i, der] of chain.entries()) {
      for (const bytes of [
        concat(der, Uint8Array.of(0)),
        concat(Uint8Array.of(0x30), der),
        der.slice(0, -1),
      ])
        await expect(judge(chain.with(i, bytes))).rejects.toThrow()
      for (const bytes of [new Uint8Array(0), new Uint8Array(100), Uint8Array.of(0x30, 0x80)])
        await expect(judge(chain.with(i, bytes))).rejects.toThrow()
      const short = der.slice()
      short[3]! -= 1
      await expect(judge(chain.with(i, short))).rejects.toThrow()
    }
  })
})
