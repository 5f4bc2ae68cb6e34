// Mutants tried, each found here: unknown members passed, a number twice, PCRs missing or more, hex of any length.
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { approvalOf, parseApprovals, writeApprovals } from './approvals.ts'
import { IMAGE_PCRS, policyKeyArea, STATE_PCRS } from './policy.ts'
import { signApprovals } from './sign.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const values = (byte: number) =>
  new Map(IMAGE_PCRS.map((pcr) => [pcr as number, new Uint8Array(32).fill(byte)]))
const sets = [
  { name: 'gce', pcrs: values(1) },
  { name: 'gce-tdx', pcrs: new Map([...values(1), [4, new Uint8Array(32).fill(9)]]) },
]
const approvals = signApprovals(privateKey, sets, { oldest: 1, own: 2 })
const text = writeApprovals(approvals)

test('a file is read as it was written, at most 4 KiB of it for two sets', () => {
  const read = parseApprovals(text)
  expect(read.map(({ name }) => name)).toEqual(['gce', 'gce-tdx'])
  expect([...read[1]!.pcrs.keys()]).toEqual(STATE_PCRS)
  expect(writeApprovals(read)).toBe(text)
  expect(text.length).toBeLessThan(4096)
})

describe('refuses', () => {
  interface File {
    version: number
    more?: number
    approvals: {
      name: string
      more?: number
      pcrs: { index: number; digest: string; more?: number }[]
      signatures: { security_version: number; signature: string }[]
    }[]
  }
  test.each<[string, (file: File) => void, RegExp]>([
    ['another version', (f) => (f.version = 2), /version must be 1/],
    ['a member it does not know', (f) => (f.more = 1), /the file\.more is not known/],
    ['one in an approval', (f) => (f.approvals[0]!.more = 1), /approvals\[0\]\.more/],
    ['one in a PCR', (f) => (f.approvals[1]!.pcrs[2]!.more = 1), /approvals\[1\]\.pcrs\[2\]\.more/],
    ['no approval', (f) => (f.approvals = []), /array of 1 to 16/],
    ['a name with blanks', (f) => (f.approvals[0]!.name = 'a b'), /name must be a name/],
    ['a PCR too few', (f) => f.approvals[0]!.pcrs.pop(), /must name PCRs 4, 7, 9, 11, 12, 13, 14/],
    ['a PCR twice', (f) => (f.approvals[0]!.pcrs[0]!.index = 7), /each once/],
    ['another PCR', (f) => (f.approvals[0]!.pcrs[0]!.index = 0), /must name PCRs/],
    ['no PCR that there is', (f) => (f.approvals[0]!.pcrs[0]!.index = 24), /from 0 to 23/],
    ['short values', (f) => (f.approvals[0]!.pcrs[0]!.digest = 'ab'), /32 bytes of lower-case hex/],
    ['odd hex', (f) => (f.approvals[0]!.pcrs[0]!.digest = 'AB'.repeat(32)), /lower-case hex/],
    ['no signature', (f) => (f.approvals[0]!.signatures = []), /array of 1 to 64/],
    ['version 0', (f) => (f.approvals[0]!.signatures[0]!.security_version = 0), /from 1 to 64/],
    ['a long one', (f) => (f.approvals[0]!.signatures[0]!.signature += 'ab'), /64 bytes/],
  ])('%s', (_, edit, message) => {
    const file = JSON.parse(text) as File
    edit(file)
    expect(() => parseApprovals(JSON.stringify(file))).toThrow(
      expect.objectContaining({
        code: 'config.invalid',
        message: expect.stringMatching(message) as string,
      }),
    )
  })

  test('text that is no JSON, or says a thing twice', () => {
    expect(() => parseApprovals('{')).toThrow('pcr-policy.json')
    expect(() => parseApprovals(text.replace('{', '{"version":1,'))).toThrow('twice')
  })
})

test('the approval of a boot is found by all of its PCRs, and the nearest is named', () => {
  const now = new Map(approvals[1]!.pcrs)
  expect(approvalOf(approvals, now).name).toBe('gce-tdx')
  now.set(11, new Uint8Array(32))
  expect(() => approvalOf(approvals, now)).toThrow(/nearest is gce-tdx: PCR 11 is 0000/)
  now.delete(11)
  expect(() => approvalOf(approvals, now)).toThrow(/PCR 11 is absent/)
})

test('a policy key of another kind is refused', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const other = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  expect(policyKeyArea(publicKey.export({ format: 'jwk' })).length).toBe(86)
  for (const key of [rsa, other]) {
    expect(() => policyKeyArea(key.publicKey.export({ format: 'jwk' }))).toThrow('P-256')
    expect(() => signApprovals(key.privateKey, sets, { oldest: 1, own: 1 })).toThrow('P-256')
  }
})
