import { createInsecureFetch } from '@sealed/client/insecure'
import { STRICT_POLICY, utf8 } from '@sealed/protocol'
import { beforeAll, describe, expect, it } from 'vitest'
import { verdictOf } from './fetch/sealed-fetch.ts'
import * as index from './index.ts'
import { type Bends, serve } from './test-support/gateway-double.ts'
import { MachineDouble, NOW } from './test-support/machine-double.ts'

const gateway = 'http://127.0.0.1:8080'
let machine: MachineDouble
beforeAll(async () => {
  machine = await MachineDouble.create()
})

const send = (bends: Bends = {}, stream = false) => {
  const { fetch } = serve(machine, bends)
  const insecure = createInsecureFetch({ gateway, fetch, now: () => NOW })
  const init = { method: 'POST', body: JSON.stringify({ stream }) }
  return insecure(`${gateway}/v1/chat/completions`, init)
}

describe('an insecure fetch', () => {
  it('asks a machine that no policy accepts, and says what its receipt is worth', async () => {
    const response = await send()
    expect(response.status).toBe(200)
    expect(response.headers.get('sealed-verdict')).toBe('failed')
    const verdict = await verdictOf(response)
    expect(verdict.outcome).toBe('failed')
    expect(verdict.policy).toBe(STRICT_POLICY.name)
  })

  it('does not take a cut or a forged answer for a whole one', async () => {
    const cut = await send({ frames: (frames) => frames.slice(0, 7) }, true)
    await expect(cut.text()).rejects.toMatchObject({ code: 'response.truncated' })
    const final: Bends['final'] = (honest) => ({ ...honest, output_digest: '00'.repeat(32) })
    expect(await (await send({ final })).json()).toMatchObject({
      error: { code: 'response.digest_mismatch' },
    })
    expect((await send({ output: () => utf8('{}') })).status).toBe(200)
  })

  it('is not had from the library’s own entry, nor is what it is made of', () => {
    const names = Object.keys(index)
    for (const name of ['createInsecureFetch', 'exchange', 'buildFetch', 'Attester'])
      expect(names).not.toContain(name)
  })
})
