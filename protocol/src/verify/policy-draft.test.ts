// A policy drawn from a document: the machine it was drawn from fits it, another does not, and nothing is relaxed in it.
import { beforeAll, describe, expect, it } from 'vitest'
import type { AttestationDocument } from '../attestation.ts'
import { parsePolicy } from '../policy.ts'
import { reportData } from '../tee/report-data.ts'
import { draftPolicy } from './policy-draft.ts'
import { IPL, KERNEL, UKI } from './test-log.ts'
import { failures, Scene } from './test-scene.ts'
import { makeSnp } from './test-snp.ts'
import { makeTdx } from './test-tdx.ts'
import { createWorld, hexOf, makeDocument, NOW, reported } from './test-world.ts'
import { verifyDocument } from './verify-receipt.ts'

let scene: Scene
beforeAll(async () => {
  scene = await Scene.create()
})
const draft = (document: AttestationDocument) => draftPolicy(document, 'drawn', NOW)
const judge = async (document: AttestationDocument, by = document) =>
  verifyDocument({ document }, await draft(by), NOW)

async function withReport(kind: 'sev-snp' | 'tdx'): Promise<AttestationDocument> {
  const data = await reportData(scene.world.ak.public, scene.world.k)
  const { record } = await (kind === 'tdx' ? makeTdx(data) : makeSnp(data))
  return makeDocument(await reported(scene.world, record))
}

describe('a policy drawn from a document', () => {
  it('is a policy, and its machine fits it', async () => {
    const policy = await draft(scene.world.document)
    expect(parsePolicy(JSON.stringify(policy))).toEqual(policy)
    expect((await judge(scene.world.document)).outcome).toBe('verified')
  })

  it('lists every value seen, and no PCR that follows from others', async () => {
    const { ak_roots, authorities, images, metering, workloads } = await draft(scene.world.document)
    expect({ ak_roots, authorities, metering, workloads }).toEqual({
      ak_roots: scene.world.policy.ak_roots,
      authorities: scene.world.policy.authorities,
      metering: 'required',
      workloads: [hexOf(0xa0)],
    })
    const indices = images[0]!.pcrs.map(({ index }) => index)
    expect(indices).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 15])
  })

  it('asks for what was booted where a log tells it', async () => {
    const { input } = await scene.lie({ boot: () => {} })
    const policy = await draft(input.document)
    expect(policy.evidence).toEqual(['tpm', 'event-log'])
    expect(policy.images[0]!.uki).toEqual([UKI, KERNEL])
    expect((await judge(input.document)).outcome).toBe('verified')
    const other = await scene.lie({
      boot: (events) => {
        events.find(({ type }) => type === IPL)!.digest = new Uint8Array(32).fill(1)
      },
    })
    expect(failures(await judge(other.input.document, input.document))).toEqual([
      'document.pcr_reference',
    ])
  })

  it.each(['sev-snp', 'tdx'] as const)('asks for the %s report that was seen', async (kind) => {
    const document = await withReport(kind)
    expect((await draft(document)).evidence).toContain(kind)
    expect((await judge(document)).outcome).toBe('verified')
    const without = await judge(scene.world.document, document)
    expect(without.outcome).toBe('incomplete')
    const other = await withReport(kind)
    expect(failures(await judge(other, document))).toContain('document.tee_chain')
  })

  it('fails another machine', async () => {
    const other = await createWorld()
    expect(failures(await judge(other.document, scene.world.document))).toEqual([
      'document.ak_chain',
    ])
  })

  it('is not drawn from a document without a chain, or with a report that is none', async () => {
    const document = structuredClone(scene.world.document)
    document.ak.chain = []
    await expect(draft(document)).rejects.toMatchObject({ code: 'evidence.invalid' })
    const odd = { ...scene.world.document, tee_report: { kind: 'tdx', report: 'AAAA' } as const }
    await expect(draft(odd)).rejects.toMatchObject({ code: 'evidence.invalid' })
  })
})
