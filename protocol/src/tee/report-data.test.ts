// What a report carries: a value worked out elsewhere, and that each part of it counts.
import { describe, expect, it } from 'vitest'
import { toHex } from '../bytes.ts'
import { reportData } from './report-data.ts'

const AK = Uint8Array.from({ length: 88 }, (_, i) => i)
const K = new Uint8Array(32).fill(0x11)

describe('REPORT_DATA', () => {
  it('is SHA-512 of its label, the digest of the attestation key, and K', async () => {
    expect(toHex(await reportData(AK, K))).toBe(
      'dfd728024666c203fb362dc9ba896d8215c8b5da42a9870a5db71aff5db15b37' +
        '00616e523e248974cfe7aa8312c7cd92ab072039b2cf93017f1fdd814ecaa621',
    )
  })

  it('is another for another attestation key or key set', async () => {
    const honest = await reportData(AK, K)
    expect(await reportData(AK.with(87, 0), K)).not.toEqual(honest)
    expect(await reportData(AK, K.with(31, 0))).not.toEqual(honest)
  })
})
