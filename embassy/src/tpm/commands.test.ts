// The vectors are what tpm2-tools 5.4 and swtpm 0.7.1 said to each other over the socket.
import { fromHex, toHex } from '@sealed/protocol'
import { describe, expect, test } from 'vitest'
import {
  type Command,
  createPrimary,
  flushContext,
  nvDefine,
  nvExtend,
  nvIncrement,
  nvRead,
  nvReadPublic,
  pcrExtend,
  pcrRead,
  pcrSelection,
  quote,
  readClock,
  transientHandles,
} from './commands.ts'
import { Reader } from './marshal.ts'

/** The tools authorise by an HMAC session of 0x49 bytes where we give an empty password of 9. */
function splitCommand(hex: string, handles: number) {
  const at = 20 + handles * 8
  const session = 2 * Number.parseInt(hex.slice(at, at + 8), 16)
  return {
    tag: hex.slice(0, 4),
    size: Number.parseInt(hex.slice(4, 12), 16) - session / 2,
    code: hex.slice(12, 20),
    handles: hex.slice(20, at),
    parameters: hex.slice(at + 8 + session),
  }
}

const read = <T>(command: Command<T>, response: string): T => {
  const r = new Reader(fromHex(response), command.name)
  r.take(10)
  const value = command.answer(r)
  r.end()
  return value
}

const ONES = new Uint8Array(32).fill(0x11)
const TWOS = new Uint8Array(32).fill(0x22)
const ECC_TEMPLATE = '0023000b00050072000000100018000b0003001000000000'
const nonce = (byte: string) => `0020${byte.repeat(32)}`
const session = `00000049${'02000000'}${nonce('aa')}01${nonce('bb')}`

describe('commands are byte for byte those of tpm2-tools', () => {
  test.each<[string, Command<unknown>, string]>([
    ['pcrread sha256:0,7,14', pcrRead([0, 7, 14]), '8001000000140000017e00000001000b03814000'],
    [
      'pcrextend 14:sha256=11…, the one that uses a password itself',
      pcrExtend(14, ONES),
      `800200000041000001820000000e0000000940000009000000000000000001000b${'11'.repeat(32)}`,
    ],
    ['readclock', readClock(), '80010000000a00000181'],
    ['nvreadpublic 0x1500020', nvReadPublic(0x1500020), '80010000000e0000016901500020'],
    ['flushcontext', flushContext(0x80000001), '80010000000e0000016580000001'],
  ])('%s', (_, command, captured) => {
    expect(toHex(command.bytes)).toBe(captured)
  })

  test.each<[string, Command<unknown>, number, string]>([
    [
      'nvdefine -s 8 -a nt=counter|ownerread|ownerwrite|authread|authwrite|no_da',
      nvDefine(0x1500020, 0x02060016, 8),
      1,
      `80020000006d0000012a40000001${session}0000000e01500020000b0206001600000008`,
    ],
    [
      'nvdefine -g sha256 -s 32 -a nt=extend|…',
      nvDefine(0x1500021, 0x02060046, 32),
      1,
      `80020000006d0000012a40000001${session}0000000e01500021000b0206004600000020`,
    ],
    [
      'nvincrement 0x1500020',
      nvIncrement(0x1500020),
      2,
      `80020000005f000001340150002001500020${session}`,
    ],
    [
      'nvread -s 8 0x1500020',
      nvRead(0x1500020, 0, 8),
      2,
      `8002000000630000014e0150002001500020${session}00080000`,
    ],
    [
      'nvextend of abc',
      nvExtend(0x1500021, new TextEncoder().encode('abc')),
      2,
      `800200000064000001360150002101500021${session}0003616263`,
    ],
    [
      'createprimary -C e -G ecc256:ecdsa-sha256:null -a 0x00050072',
      createPrimary(fromHex(ECC_TEMPLATE)),
      1,
      `800200000081000001314000000b${session}0004000000000018${ECC_TEMPLATE}000000000000`,
    ],
    [
      // The tools repeat the key's own scheme (0018 000b); NULL (0010) asks for the same one.
      'quote -l sha256:0,7,14',
      quote(0x80000001, TWOS, [0, 7, 14]),
      1,
      `8002000000890000015880000001${session}0020${'22'.repeat(32)}001000000001000b03814000`,
    ],
  ])('%s', (_, command, handles, captured) => {
    const ours = toHex(command.bytes)
    expect(splitCommand(ours, handles)).toEqual(splitCommand(captured, handles))
    expect(ours.slice(20 + 8 * handles).startsWith('00000009400000090000000000')).toBe(true)
    expect(command.bytes.length).toBe(Number.parseInt(ours.slice(4, 12), 16))
  })

  test('each PCR has its own bit', () => {
    for (let pcr = 0; pcr < 24; pcr++) {
      const bitmap = pcrSelection([pcr]).subarray(-3)
      expect([...bitmap].map((byte, i) => byte * 256 ** i).reduce((a, b) => a + b)).toBe(2 ** pcr)
    }
  })
})

describe('answers of swtpm', () => {
  const attest =
    'ff54434780180022000b0611251c20898af250777c6f5bbbd21d0bc8230d1e7c023ec924c868684a31720020' +
    `${'22'.repeat(32)}0000000000000701000000070000000001201910230016363600000001000b03814000` +
    '0020da84a32b9caf4d5626e80cc0a696991fc96112611a7101c37dbe7755a582a1fe'
  const signature =
    '0018000b0020f14616d6c5001190c585f8957f3b7c2d05726fcf0e96bc5435bbd807ad574446' +
    '00205b85533579800a9f6b07ea60717dbc0ba1aeb7697a17dfc48043b83ca34bbb42'
  const tail = `${nonce('e4')}01${nonce('39')}`
  const quoted = `80020000012e00000000000000db0091${attest}${signature}${tail}`
  const key = quote(1, TWOS, [0])

  test('a quote: attest and signature as they stand', () => {
    const answer = read(key, quoted)
    expect(toHex(answer.attest)).toBe(attest)
    expect(toHex(answer.signature)).toBe(signature)
  })

  test('a quote cut anywhere is refused', () => {
    for (let end = 22; end < quoted.length; end += 2)
      expect(() => read(key, quoted.slice(0, end))).toThrow('TPM2_Quote')
  })

  test('a quote with a byte too many is refused, in its parameters and after them', () => {
    expect(() => read(key, `${quoted}00`)).toThrow('1 bytes more')
    const longer = quoted.replace('000000db', '000000dc').replace(tail, `00${tail}`)
    expect(() => read(key, longer)).toThrow('1 bytes more')
  })

  test('an RSA signature has one part', () => {
    const rsa = `0014000b0100${'cd'.repeat(256)}`
    const size = (2 + attest.length / 2 + rsa.length / 2).toString(16).padStart(8, '0')
    const response = `800200000000${'00000000'}${size}0091${attest}${rsa}0000010000`
    expect(toHex(read(key, response).signature)).toBe(rsa)
  })

  test('PCR values with the selection they belong to', () => {
    const answer = read(
      pcrRead([0, 7, 14]),
      `800100000082000000000000001400000001000b0381400000000003${`0020${'00'.repeat(32)}`.repeat(3)}`,
    )
    expect(answer.updates).toBe(0x14)
    expect(answer.selected).toEqual([0, 7, 14])
    expect(answer.digests).toEqual(Array(3).fill(new Uint8Array(32)))
  })

  test('clock', () => {
    const clock = '800100000023000000000000000000000029000000000000067d000000070000000001'
    expect(read(readClock(), clock)).toEqual({
      clockMs: 0x67dn,
      resetCount: 7,
      restartCount: 0,
      safe: true,
    })
  })

  test('public area of an NV index, before and after its first write', () => {
    const area = (attributes: string) =>
      `80010000003e00000000000e01500020000b${attributes}000000080022000b${'fd'.repeat(32)}`
    expect(read(nvReadPublic(1), area('02060016'))).toEqual({ attributes: 0x02060016, size: 8 })
    expect(read(nvReadPublic(1), area('22060016')).attributes).toBe(0x22060016)
  })

  test('NV content', () => {
    const response = `80020000005d000000000000000a00080000000000000001${tail}`
    expect(read(nvRead(1, 0, 8), response)).toEqual(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1]))
  })

  test('transient handles', () => {
    const response = '80010000001b000000000000000001000000028000000080000001'
    expect(read(transientHandles(), response)).toEqual([0x80000000, 0x80000001])
  })

  test('a new key: handle, public area and name', () => {
    const area =
      '0023000b00050072000000100018000b000300100020e6d1bd1ae935480b3b31f9eaa7205f8b68286818b798d0b74c31ee1f0bcbcda9' +
      '0020e9ce9145f203d94d6984166a9de34a2da252a45e4687ae6c0726a3635a3fa7d9'
    const creation =
      '0037000000000020e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85501001000044000000b00044000000b0000' +
      '002028d026fafd749106743e27c4280551585e5d17668eb521835ed60127effc05d480214000000b0040' +
      '3f7c99932660342f48ace12a113db2463c74645127f1613d720ebb1bd2c6b1eb277d54cedc70690d3bc7e5615391e07326950fe0ad5e10fa303866067787f4f2'
    const name = '000b127a027392d774e1665f070bb67f01c91b247934491a73803f87d919487ec3ed'
    const response = `80020000017800000000${'80000000'}000001210058${area}${creation}0022${name}${tail}`
    const made = read(createPrimary(fromHex(ECC_TEMPLATE)), response)
    expect(made.handle).toBe(0x80000000)
    expect(toHex(made.public)).toBe(area)
    expect(toHex(made.name)).toBe(name)
  })
})
