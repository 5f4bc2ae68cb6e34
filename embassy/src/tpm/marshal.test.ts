import { describe, expect, test } from 'vitest'
import { Reader, sized, u32 } from './marshal.ts'
import { describeCode, isTransient } from './response-code.ts'

describe('reader', () => {
  test('reads big-endian integers and sized buffers', () => {
    const r = new Reader(new Uint8Array([0, 2, 7, 8, 0, 0, 1, 0]), 'sample')
    expect(r.sized()).toEqual(new Uint8Array([7, 8]))
    expect(r.u32()).toBe(256)
    r.end()
  })

  test('refuses a structure that ends early, and names it', () => {
    const r = new Reader(new Uint8Array([0, 9, 1]), 'TPM2_Quote')
    expect(() => r.sized()).toThrow('TPM2_Quote: ends after 3 bytes, 11 were expected')
    expect(() => new Reader(new Uint8Array(7), 'x').u64()).toThrow('ends after 7')
  })

  test('refuses trailing bytes', () => {
    const r = new Reader(new Uint8Array(5), 'TPM2_Quote')
    r.u32()
    expect(() => r.end()).toThrow('1 bytes more')
  })

  test('copies: a value survives its buffer', () => {
    const source = sized(new Uint8Array([1, 2]))
    const value = new Reader(source, 'x').sized()
    source.fill(9)
    expect(value).toEqual(new Uint8Array([1, 2]))
  })

  test('writes unsigned 32-bit numbers', () => {
    expect(u32(0xff544347)).toEqual(new Uint8Array([0xff, 0x54, 0x43, 0x47]))
  })
})

// What `tpm2_rc_decode` 5.4 says of the same numbers, in its own words, is beside each.
test.each([
  [0x18b, 'TPM_RC_HANDLE (0x18b) at handle 1'], // tpm:handle(1):the handle is not correct for the use
  [0x2c4, 'TPM_RC_VALUE (0x2c4) at parameter 2'], // tpm:parameter(2):value is out of range
  [0x14a, 'TPM_RC_NV_UNINITIALIZED (0x14a)'], // an NV Index is used before being initialized
  [0x922, 'TPM_RC_RETRY (0x922)'], // tpm:warn(2.0): the TPM was not able to start the command
  [0x101, 'TPM_RC_FAILURE (0x101)'], // commands not being accepted because of a TPM failure
  [0x98e, 'TPM_RC_AUTH_FAIL (0x98e) at session 1'], // tpm:session(1):the authorization HMAC check failed
  [0x9a2, 'TPM_RC_BAD_AUTH (0x9a2) at session 1'], // tpm:session(1):authorization failure
  [0x1da, 'TPM_RC_INSUFFICIENT (0x1da) at parameter 1'],
  [0x1ff, 'TPM_RC_unknown (0x1ff) at parameter 1'],
  [0x1fe, 'TPM_RC_unknown (0x1fe) at parameter 1'],
  [0x7ff0b, 'TPM_RC_unknown (0x7ff0b)'],
])('response code %i is described as %s', (code, words) => {
  expect(describeCode(code)).toBe(words)
})

test('only codes after which nothing was executed are sent again', () => {
  const again = Array.from({ length: 0x1000 }, (_, code) => code).filter(isTransient)
  expect(again).toEqual([0x908, 0x90a, 0x920, 0x922])
})
