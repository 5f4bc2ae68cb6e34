// The table of certificates that a host hands out: the three that are wanted, whatever else stands there, and no byte
// from outside it.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { certificateTable, GUID } from '../test-support/fake-tsm.ts'
import { parseCertificateTable } from './certificate-table.ts'

const [VCEK, ASK, ARK] = [Uint8Array.of(1), Uint8Array.of(2, 2), Uint8Array.of(3, 3, 3)]
const ALL: [string, Uint8Array][] = [
  [GUID.vcek, VCEK],
  [GUID.ask, ASK],
  [GUID.ark, ARK],
]
const failed = (message: string) =>
  expect.objectContaining({ code: 'tee.failed', message: expect.stringContaining(message) })
/** The table with one number of its first entry changed. */
function changed(at: number, value: number): Uint8Array {
  const table = Buffer.from(certificateTable(ALL))
  table.writeUInt32LE(value, at)
  return table
}

describe('a certificate table', () => {
  it('gives VCEK, ASK and ARK, in whatever order they stand', () => {
    const expected = [VCEK, ASK, ARK]
    expect(parseCertificateTable(certificateTable(ALL))).toEqual(expected)
    expect(parseCertificateTable(certificateTable([...ALL].reverse()))).toEqual(expected)
    const more = certificateTable([[GUID.firmware, Uint8Array.of(9)], ...ALL])
    expect(parseCertificateTable(more)).toEqual(expected)
    expect(parseCertificateTable(certificateTable(ALL).subarray(0, 102))).toEqual(expected)
  })

  it.each(['vcek', 'ask', 'ark'] as const)('without %s is refused', (name) => {
    const rest = ALL.filter(([guid]) => guid !== GUID[name])
    expect(() => parseCertificateTable(certificateTable(rest))).toThrow(
      failed(`no ${name.toUpperCase()}`),
    )
  })

  it.each([
    ['nothing', new Uint8Array(0), 'no end'],
    ['no end', certificateTable(ALL).subarray(0, 72), 'no end'],
    ['a certificate in its head', changed(16, 95), 'outside'],
    ['a certificate behind it', changed(16, 4096), 'outside'],
    ['a certificate that is too long', changed(20, 5000), 'outside'],
    ['a certificate that wraps around', changed(20, 0xffffffff), 'outside'],
    ['an empty certificate', changed(20, 0), 'outside'],
    ['a certificate twice', certificateTable([...ALL, [GUID.ask, ARK]]), 'twice'],
    ['more than it may have', Buffer.alloc(4096, 1), 'more than 32'],
    ['more bytes than it may have', new Uint8Array(65_537), 'bytes long'],
  ])('of %s is refused', (_form, table, message) => {
    expect(() => parseCertificateTable(table)).toThrow(failed(message))
  })

  it('of any bytes gives certificates or fails', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(() => parseCertificateTable(bytes)).toThrow(failed('certificate table'))
      }),
      { numRuns: 300 },
    )
  })
})
