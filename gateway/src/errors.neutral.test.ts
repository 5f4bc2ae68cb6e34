import { CODES, type Code } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { invitesRetry, statusOfCode } from './errors.ts'

const codes = Object.entries(CODES) as [Code, string][]

describe('the status of a code', () => {
  it('is never one that SDKs send again for a request that must be mended', () => {
    for (const [code, remedy] of codes)
      if (remedy === 'request') expect(invitesRetry(statusOfCode(code)), code).toBe(false)
  })

  it('is 503 or 429 where trying again may help, but for the client’s own', () => {
    for (const [code, remedy] of codes)
      if (remedy === 'retry' && code !== 'gateway.unreachable')
        expect([429, 503], code).toContain(statusOfCode(code))
  })

  it('is 424 for what happens after the reveal', () => {
    for (const [code] of codes)
      if (/^(?:session|workload|activations)\./.test(code) && code !== 'workload.unknown')
        expect(statusOfCode(code), code).toBe(424)
    expect(statusOfCode('seal.breached')).toBe(424)
  })
})
