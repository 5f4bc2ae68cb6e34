// What a verdict says of TEE evidence that is missing, was not asked for, or has nothing to be compared with.
import { beforeAll, describe, expect, it } from 'vitest'
import type { CheckId } from './checks.ts'
import { failures } from './test-scene.ts'
import { makeSnp } from './test-snp.ts'
import { makeTdx } from './test-tdx.ts'
import { entry, MEASUREMENT, MRTD, TEE, TeeScene } from './test-tee-scene.ts'

let scene: TeeScene
beforeAll(async () => {
  scene = await TeeScene.create()
})

describe('a document without TEE evidence', () => {
  const ALL: CheckId[] = Object.values(TEE)

  it('passes none of the checks', async () => {
    const verdict = await scene.bare({})
    expect(verdict.outcome).toBe('verified')
    for (const id of ALL)
      expect(entry(verdict, id)).toMatchObject({ result: 'skip', required: false })
  })

  it.each(['tee', 'sev-snp', 'tdx'] as const)(
    'is incomplete where %s is asked for',
    async (kind) => {
      const verdict = await scene.bare({ evidence: ['tpm', kind] })
      expect(verdict.outcome).toBe('incomplete')
      for (const id of ALL)
        expect(entry(verdict, id)).toMatchObject({ result: 'skip', required: id !== TEE.eventLog })
    },
  )
})

describe('reference values', () => {
  it.each(['snp', 'tdx'] as const)(
    'are missed where TEE evidence is asked for: %s',
    async (kind) => {
      const { record, root } = await (kind === 'snp' ? makeSnp : makeTdx)(await scene.dataFor())
      const tee = { [kind]: { roots: [root] } }
      const verdict = await scene.judge(record, { evidence: ['tpm', 'tee'], tee })
      expect(verdict.outcome).toBe('incomplete')
      expect(entry(verdict, 'document.tee_reference')).toMatchObject({
        result: 'skip',
        required: true,
      })
      const unasked = await scene.judge(record, { evidence: ['tpm'], tee })
      expect(unasked.outcome).toBe('verified')
    },
  )

  it('of the other kind do not count', async () => {
    const { record, root } = await makeSnp(await scene.dataFor())
    const tee = { snp: { roots: [root] }, tdx: { mrtd: [MRTD] } }
    const verdict = await scene.judge(record, { evidence: ['tpm', 'tee'], tee })
    expect(verdict.outcome).toBe('incomplete')
  })
})

describe('what a verdict claims of the processor', () => {
  it('is its kind, and what was launched', async () => {
    expect((await scene.snp()).claims.tee).toEqual({ kind: 'sev-snp', measurement: MEASUREMENT })
    expect((await scene.tdx()).claims.tee).toEqual({ kind: 'tdx', measurement: MRTD })
  })

  it('is nothing where it is another’s, or none', async () => {
    const other = { data: new Uint8Array(64) }
    expect((await scene.snp({}, other)).claims.tee).toBeUndefined()
    expect((await scene.bare({})).claims.tee).toBeUndefined()
  })
})

describe('TEE evidence that nobody asked for', () => {
  it('is judged all the same', async () => {
    const { record } = await makeSnp(new Uint8Array(64))
    const verdict = await scene.judge(record, { evidence: ['tpm'] })
    expect(failures(verdict)).toEqual([TEE.chain, TEE.binding])
  })
})
