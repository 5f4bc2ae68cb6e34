// Every check of a document, each failed by a lie of its own: the machine signs what the test makes it say, so that
// exactly the checks named here, and no others, must see through it.
import { beforeAll, describe, expect, it } from 'vitest'
import type { AttestationDocument } from '../attestation.ts'
import { randomBytes, sha256, toBase64url, toHex } from '../bytes.ts'
import { quoteBinding } from '../key-set.ts'
import { extendedOnce } from '../quote.ts'
import { CHECKS, type CheckId } from './checks.ts'
import { type Case, failures, Scene } from './test-scene.ts'
import { createAk, issueChain, selectionOf, tpmtOf } from './test-tpm.ts'
import { hexOf, makeChallenge, makeDocument, NOW } from './test-world.ts'
import { verifyDocument } from './verify-receipt.ts'

const IMAGE = { name: 'other', version: '1' }

const CASES: [lie: string, fails: CheckId[], make: (s: Scene) => Promise<Case>][] = [
  [
    'a PCR that stands twice',
    ['document.form'],
    (s) => s.lie({ document: (d) => d.pcrs.push({ ...d.pcrs[0]! }) }),
  ],
  ...(['version', 'pcrs', 'key_set', 'ak'] as const).map((member): (typeof CASES)[number] => [
    `a document without ${member}`,
    ['document.form'],
    async (s) => {
      const { input } = await s.lie({})
      const { [member]: _, ...rest } = input.document
      return { input: { ...input, document: rest as AttestationDocument } }
    },
  ]),
  [
    'an attestation key that may also decrypt',
    ['document.ak'],
    async (s) => {
      const jwk = await crypto.subtle.exportKey('jwk', s.world.ak.publicKey)
      const loose = toBase64url(tpmtOf(jwk as Record<string, string>, 0x00070072))
      return s.lie({
        document: (d) => {
          d.ak.public = loose
        },
      })
    },
  ],
  [
    'a root that the policy does not name',
    ['document.ak_chain'],
    (s) => s.under({ ak_roots: [hexOf(9)] }),
  ],
  [
    'a chain to a trusted root for another key',
    ['document.ak_chain'],
    async (s) => {
      const chain = await issueChain((await createAk()).publicKey, NOW)
      const root = toHex(await sha256(chain.at(-1)!))
      return s.lie(
        {
          document: (d) => {
            d.ak.chain = chain.map(toBase64url)
          },
        },
        { ak_roots: [root] },
      )
    },
  ],
  [
    'the keys quote of another attestation key',
    ['document.quote_signature'],
    async (s) => s.lie({ documentAk: await createAk() }),
  ],
  [
    'relabelled PCRs',
    [
      'document.quote_selection',
      'document.pcr_reference',
      'document.event_log',
      'receipt.quote_selection',
    ],
    (s) =>
      s.lie({
        document: (d) => {
          const [a, b] = [d.pcrs[0]!, d.pcrs[1]!]
          ;[a.digest, b.digest] = [b.digest, a.digest]
        },
      }),
  ],
  [
    'PCR values that were quoted under other indices',
    ['document.quote_selection'],
    (s) =>
      s.lie({ documentQuote: { bitmap: selectionOf([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) } }),
  ],
  [
    'a quote that leaves PCR 7 out',
    ['document.quote_selection'],
    (s) => s.lie({ documentQuote: { pcrs: new Map([[0, new Uint8Array(32)]]) } }),
  ],
  [
    'a checkpoint quote in place of the keys quote',
    ['document.quote_binding'],
    async (s) => {
      const x = await sha256(new Uint8Array(0))
      return s.lie({ documentQuote: { extraData: await quoteBinding('checkpoint', s.world.k, x) } })
    },
  ],
  [
    'a keys quote for another key set',
    ['document.quote_binding'],
    async (s) => {
      const x = await sha256(new Uint8Array(0))
      return s.lie({ documentQuote: { extraData: await quoteBinding('keys', randomBytes(32), x) } })
    },
  ],
  [
    'a TEE report that the quote does not bind',
    ['document.quote_binding', 'document.tee_form'],
    (s) =>
      s.lie({
        document: (d) => {
          d.tee_report = { kind: 'sev-snp', report: 'AAAA' }
        },
      }),
  ],
  [
    'a key set extended twice',
    ['document.pcr_key_set'],
    async (s) => {
      const twice = await sha256(await extendedOnce(s.world.k), s.world.k)
      return s.lie({ pcrs: (pcrs) => pcrs.set(14, twice) })
    },
  ],
  ['no PCR 14 at all', ['document.pcr_key_set'], (s) => s.lie({ pcrs: (pcrs) => pcrs.delete(14) })],
  [
    'a configuration that was not measured',
    ['document.pcr_configuration'],
    (s) => s.lie({ document: (d) => d.configuration.authorities.pop() }, { authorities: [] }),
  ],
  [
    'a PCR 8 that something else was extended into as well',
    ['document.pcr_configuration'],
    (s) => s.lie({ pcrs: (pcrs) => pcrs.set(8, new Uint8Array(32).fill(5)) }),
  ],
  [
    'a launch that the document does not tell of',
    ['document.pcr_launch'],
    (s) => s.lie({ pcrs: (pcrs) => pcrs.set(13, new Uint8Array(32).fill(5)) }),
  ],
  ['no PCR 13 at all', ['document.pcr_launch'], (s) => s.lie({ pcrs: (pcrs) => pcrs.delete(13) })],
  [
    'a PCR without its reference value',
    ['document.pcr_reference'],
    (s) => s.under({ images: [{ ...IMAGE, pcrs: [{ digests: [hexOf(0xff)], index: 4 }] }] }),
  ],
  [
    'a PCR with a reference value that was not quoted',
    ['document.pcr_reference'],
    (s) => s.under({ images: [{ ...IMAGE, pcrs: [{ digests: [hexOf(0)], index: 10 }] }] }),
  ],
  [
    'a transport key that the ledger key did not sign',
    ['document.transport_keys'],
    (s) => s.lie({ document: (d) => (d.transport_keys[0]!.not_after_ms += 1) }),
  ],
  [
    'a transport key under the id of another',
    ['document.transport_keys', 'receipt.transport_key'],
    (s) =>
      s.lie({
        document: (d) => {
          d.transport_keys[0]!.id = hexOf(3)
        },
      }),
  ],
  [
    'a workload that nobody accepted',
    ['document.configuration'],
    (s) => s.under({ workloads: [] }),
  ],
  [
    'an authority that is missing',
    ['document.configuration'],
    (s) => s.under({ authorities: ['cd'.repeat(16)] }),
  ],
  [
    'an authority’s id over the key of another',
    ['document.configuration'],
    (s) => s.configured((c) => (c.authorities[0]!.public_key = 'B'.repeat(42).concat('A'))),
  ],
  [
    'two workloads of one name',
    ['document.configuration'],
    (s) => s.configured((c) => c.workloads.push({ ...c.workloads[0]!, image: hexOf(1) })),
  ],
  [
    'metering that is optional',
    ['document.configuration'],
    (s) =>
      s.configured((c) => {
        c.metering = 'optional'
      }),
  ],
  [
    'no workload at all',
    ['document.configuration', 'receipt.configuration'],
    (s) => s.configured((c) => c.workloads.pop()),
  ],
  [
    'one workload more than accepted',
    ['document.configuration'],
    (s) =>
      s.configured((c) => c.workloads.push({ ...c.workloads[0]!, digest: hexOf(3), name: 'x' })),
  ],
  [
    'one workload more, under a seal policy that is not accepted',
    ['document.configuration'],
    (s) =>
      s.configured((c) =>
        c.workloads.push({ ...c.workloads[0]!, name: 'x', seal_policy: 'permanent' }),
      ),
  ],
  [
    'a seal policy that is not accepted',
    ['document.configuration', 'receipt.configuration'],
    (s) => s.under({ seal_policies: ['permanent'] }),
  ],
  [
    'a challenge for another nonce',
    ['document.challenge'],
    async (s) =>
      s.give({
        challenge: {
          nonce: randomBytes(32),
          answer: await makeChallenge(s.world, randomBytes(32)),
        },
      }),
  ],
  [
    'a challenge whose path is too short',
    ['document.challenge'],
    async (s) => {
      const nonce = randomBytes(32)
      const answer = await makeChallenge(s.world, nonce)
      return s.give({ challenge: { nonce, answer: { ...answer, index: 0 } } })
    },
  ],
  [
    'a challenge answered with other PCRs',
    ['document.challenge'],
    async (s) => {
      const nonce = randomBytes(32)
      const pcrs = new Map([[0, new Uint8Array(32)]])
      return s.give({ challenge: { nonce, answer: await makeChallenge(s.world, nonce, { pcrs }) } })
    },
  ],
  [
    'a challenge answered by another attestation key',
    ['document.challenge'],
    async (s) => {
      const nonce = randomBytes(32)
      const other = { ...s.world, ak: await createAk() }
      return s.give({ challenge: { nonce, answer: await makeChallenge(other, nonce) } })
    },
  ],
]

describe('a lie', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await Scene.create()
  })

  it.each(CASES)('%s fails %j', async (_lie, fails, make) => {
    const verdict = await scene.judge(await make(scene))
    expect(failures(verdict)).toEqual(fails)
    expect(verdict.outcome).toBe('failed')
  })

  it('is told here about every check that can fail', () => {
    const never = ['document.instance', 'document.event_log', 'document.boot_application']
    const told = new Set<string>([...CASES.flatMap(([, fails]) => fails), ...never])
    // lies about TEE evidence are told beside its checks
    for (const id of Object.keys(CHECKS).filter((id) => /^document\.(?!tee_)/.test(id)))
      expect(told).toContain(id)
  })

  it('is seen without a receipt', async () => {
    const { policy, k } = scene.world
    const document = await makeDocument(scene.world, { documentQuote: { extraData: k } })
    const verdict = await verifyDocument({ document }, policy, NOW)
    expect(failures(verdict)).toEqual(['document.quote_binding'])
    expect(verdict.checks.map(({ id }) => id)).toEqual(
      Object.keys(CHECKS).filter((id) => id.startsWith('document.')),
    )
  })
})
