// Mutants: the tests for zeros dropped; `version === 'ff'` dropped; more allowed in version 00; upper case allowed.
import { describe, expect, it } from 'vitest'
import { parseTraceparent } from './trace.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'

describe('traceparent', () => {
  it('is read, also of a later version with more behind it', () => {
    const read = { traceId: TRACE, parentId: SPAN }
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-01`)).toEqual(read)
    expect(parseTraceparent(`cc-${TRACE}-${SPAN}-01`)).toEqual(read)
    expect(parseTraceparent(`cc-${TRACE}-${SPAN}-01-what-is-to-come`)).toEqual(read)
  })

  it.each([
    undefined,
    '',
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-01-`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
    ` 00-${TRACE}-${SPAN}-01`,
    `cc-${TRACE}-${SPAN}-01x`,
    `cc-${TRACE}-${SPAN}-01-${'x'.repeat(300)}`,
  ])('is nothing as %j', (header) => {
    expect(parseTraceparent(header)).toBeUndefined()
  })
})
