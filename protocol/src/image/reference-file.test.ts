// Mutants tried: RTMR 2 left as the machine states it; the other registers dropped; evidence invented where there is none.
import { expect, test } from 'vitest'
import { STRICT_POLICY } from '../policy.ts'
import { parseReferenceValues, pinImage } from './reference-file.ts'

const REFERENCE = {
  command_line: 'quiet',
  image: { name: 'sealed', pcrs: [{ digests: ['ab'.repeat(32)], index: 11 }], version: '1' },
  packages: [],
  root_hash: 'cd'.repeat(32),
  rtmr2: 'ef'.repeat(48),
  security_version: 1,
  version: 1 as const,
}
const row = (index: number, byte: string) => ({ digests: [byte.repeat(48)], index })

test('an image stands in a policy by its own values, on TDX in the register too', () => {
  const tdx = { mrtd: ['11'.repeat(48)], rtmrs: [row(0, '00'), row(1, '01'), row(2, '02')] }
  const { images, tee } = pinImage({ ...STRICT_POLICY, tee: { tdx } }, REFERENCE)
  expect(images).toEqual([REFERENCE.image])
  expect(tee).toEqual({ tdx: { ...tdx, rtmrs: [row(0, '00'), row(1, '01'), row(2, 'ef')] } })
  const bare = pinImage({ ...STRICT_POLICY, tee: { tdx: {} } }, REFERENCE)
  expect(bare.tee?.tdx?.rtmrs).toEqual([row(2, 'ef')])
})

test('a policy without TDX is asked for no register', () => {
  expect(pinImage(STRICT_POLICY, REFERENCE)).toEqual({
    ...STRICT_POLICY,
    images: [REFERENCE.image],
  })
  const snp = { snp: { allow_smt: true } }
  expect(pinImage({ ...STRICT_POLICY, tee: snp }, REFERENCE).tee).toEqual(snp)
})

test('the file is read strictly', () => {
  expect(parseReferenceValues(JSON.stringify(REFERENCE))).toEqual(REFERENCE)
  const invalid = expect.objectContaining({ code: 'config.invalid' })
  for (const change of [{ rtmr2: 'ef' }, { security_version: 0 }, { more: 1 }, { packages: [{}] }])
    expect(() => parseReferenceValues(JSON.stringify({ ...REFERENCE, ...change }))).toThrow(invalid)
})
