// An event log is read whole or not at all; no bit of it changes what is believed without being seen.
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, concat, toHex, utf8 } from './bytes.ts'
import { MAX_EVENT_LOG, parseEventLog, replayEventLog } from './event-log.ts'
import {
  ACTION,
  bootEvents,
  IPL,
  type LoggedEvent,
  type LogHeader,
  le16,
  le32,
  logBytes,
  measure,
  NO_ACTION,
  NOTHING,
  SEPARATOR,
} from './verify/test-log.ts'
import { flip } from './verify/test-scene.ts'

const invalid = expect.objectContaining({ code: 'evidence.invalid' })
const ipl = (pcr: number): LoggedEvent => ({ pcr, type: IPL, data: utf8('x') })
const locality = (...rest: number[]): LoggedEvent => ({
  pcr: 0,
  type: NO_ACTION,
  data: concat(utf8('StartupLocality\0'), Uint8Array.of(...rest)),
})
const parse = async (events: LoggedEvent[], header: LogHeader = {}) =>
  parseEventLog(await logBytes(events, header))
const replayed = async (events: LoggedEvent[]) => replayEventLog(await parse(events))
const hexes = (pcrs: ReadonlyMap<number, Uint8Array>) =>
  [...pcrs].map(([index, value]) => `${index} ${toHex(value)}`).sort()

let whole: Bytes
beforeAll(async () => {
  whole = await logBytes(bootEvents())
})

describe('a log', () => {
  it('leads to the PCRs that the boot left', async () => {
    const pcrs = new Map<number, Bytes>()
    await measure(bootEvents(), pcrs)
    expect(hexes(await replayed(bootEvents()))).toEqual(hexes(pcrs))
  })

  it('tells which events are what they say', async () => {
    const { events } = await parseEventLog(whole)
    expect(events.length).toBe(bootEvents().length - 1)
    for (const { type, believed } of events)
      expect(believed).toBe([8, 17, 0x80000001, SEPARATOR, 0x80000006, ACTION].includes(type))
  })

  it('may have one bank or five, and the digests of an event in any order', async () => {
    const all: [number, number][] = [
      [4, 20],
      [11, 32],
      [12, 48],
      [13, 64],
      [18, 32],
    ]
    expect((await parse(bootEvents(), { algorithms: all })).events.length).toBe(21)
    expect((await parse(bootEvents(), { algorithms: [[11, 32]] })).events.length).toBe(21)
    const swapped = concat(
      await logBytes([]),
      ...[le32(4), le32(IPL), le32(3), le16(11), new Uint8Array(32).fill(1)],
      ...[le16(12), new Uint8Array(48), le16(4), new Uint8Array(20), le32(0)],
    )
    expect((await parseEventLog(swapped)).events[0]?.digest).toEqual(new Uint8Array(32).fill(1))
  })

  it('sets PCR 0 by the locality that started the TPM', async () => {
    const value = (await replayed([locality(3), ipl(1)])).get(0)!
    expect(toHex(value)).toBe(`${'00'.repeat(31)}03`)
    expect(await replayed([locality(4), ipl(0)])).not.toEqual(await replayed([ipl(0)]))
    expect(await replayed([locality(0), ipl(0)])).toEqual(await replayed([ipl(0)]))
  })

  it.each([
    ['twice', [locality(3), locality(3)]],
    ['after PCR 0 was extended', [ipl(0), locality(3)]],
    ['of another PCR', [{ ...locality(3), pcr: 1 }]],
    ['without a value', [locality()]],
    ['with two values', [locality(3, 0)]],
    ['that does not exist', [locality(1)]],
  ])('has no locality %s', async (_, events) => {
    await expect(parse(events)).rejects.toThrow(invalid)
  })

  it('starts PCRs of a dynamic launch at ones', async () => {
    const pcrs = new Map<number, Bytes>([[17, new Uint8Array(32).fill(255)]])
    await measure([ipl(17)], pcrs)
    expect(hexes(await replayed([ipl(17)]))).toEqual(hexes(pcrs))
  })

  it.each<[string, LogHeader]>([
    ['of SHA-1 only', { signature: 'Spec ID Event02\0' }],
    ['of another name', { signature: 'Spec ID Event04\0' }],
    ['without SHA-256', { algorithms: [[4, 20]] }],
    ['with no algorithm', { algorithms: [] }],
    [
      'with an algorithm twice',
      {
        algorithms: [
          [11, 32],
          [11, 32],
        ],
      },
    ],
    [
      'with an unknown algorithm',
      {
        algorithms: [
          [11, 32],
          [5, 20],
        ],
      },
    ],
    ['with another size', { algorithms: [[11, 20]] }],
    ['in another PCR', { pcr: 1 }],
    ['of another type', { type: 8 }],
    ['with a digest', { digest: new Uint8Array(20).fill(1) }],
    ['of an unknown platform', { platform: 2 }],
    ['of version 1.2', { version: [2, 1] }],
    ['of version 2.1', { version: [1, 2] }],
    ['of an unknown word size', { wordSize: 3 }],
    ['with bytes left over', { rest: Uint8Array.of(0) }],
    ['that is too long', { vendor: new Uint8Array(255) }],
  ])('has no header %s', async (_, header) => {
    await expect(parse([], header)).rejects.toThrow(invalid)
  })

  it('has no event that extends nothing and has a digest in another bank', async () => {
    const odd = whole.slice()
    const sha1 = (await logBytes([])).length + 4 + 4 + 4 + 2
    expect(odd[sha1]).toBe(0)
    odd[sha1] = 1
    await expect(parseEventLog(odd)).rejects.toThrow(invalid)
  })

  it('may carry what its vendor says', async () => {
    expect((await parse([ipl(4)], { vendor: new Uint8Array(8).fill(9) })).events.length).toBe(1)
  })

  it.each<[string, LoggedEvent[]]>([
    ['of a PCR that no TPM has', [ipl(24)]],
    [
      'that extends nothing and has a digest',
      [{ pcr: 0, type: NO_ACTION, data: NOTHING, digest: new Uint8Array(32).fill(1) }],
    ],
    [
      'that is a separator and tells of an error',
      [{ pcr: 4, type: SEPARATOR, data: Uint8Array.of(1, 0, 0, 0) }],
    ],
    [
      'that is a separator and holds another digest',
      [{ pcr: 4, type: SEPARATOR, data: NOTHING, digest: new Uint8Array(32).fill(1) }],
    ],
    [
      'that is a separator whose data is not its digest’s',
      [{ pcr: 4, type: SEPARATOR, data: new Uint8Array(4).fill(255), digest: new Uint8Array(0) }],
    ],
    ['that passes a separator off as something else', [{ pcr: 4, type: IPL, data: NOTHING }]],
    [
      'that passes the other separator off as an action',
      [{ pcr: 4, type: ACTION, data: new Uint8Array(4).fill(255) }],
    ],
  ])('has no event %s', async (_, events) => {
    await expect(parse(events)).rejects.toThrow(invalid)
  })

  it('has a separator of ones where firmware writes that', async () => {
    const events = [{ pcr: 4, type: SEPARATOR, data: new Uint8Array(4).fill(255) }]
    expect((await parse(events)).events.length).toBe(1)
  })

  it('has every announced digest in each event, once', async () => {
    const counted = async (count: number, ...digests: Uint8Array[]) =>
      concat(await logBytes([]), le32(4), le32(IPL), le32(count), ...digests, le32(0))
    const event = (...digests: Uint8Array[]) => counted(digests.length, ...digests)
    const [sha1, sha2, sha3] = [
      concat(le16(4), new Uint8Array(20)),
      concat(le16(11), new Uint8Array(32)),
      concat(le16(12), new Uint8Array(48)),
    ]
    await expect(parseEventLog(await event(sha1, sha2, sha3))).resolves.toBeDefined()
    for (const digests of [
      [sha1, sha2],
      [sha2],
      [sha1, sha1, sha2],
      [sha1, sha2, sha2],
      [sha1, sha2, sha3, sha3],
    ])
      await expect(parseEventLog(await event(...digests))).rejects.toThrow(invalid)
    for (const count of [0, 2, 4])
      await expect(parseEventLog(await counted(count, sha1, sha2, sha3))).rejects.toThrow(invalid)
  })

  it('is refused wherever it is cut, and with a byte more', async () => {
    const ends = new Set<number>()
    for (let n = 0; n <= bootEvents().length; n++)
      ends.add((await logBytes(bootEvents().slice(0, n))).length)
    for (let length = 0; length < whole.length; length++)
      if (!ends.has(length))
        await expect(parseEventLog(whole.slice(0, length))).rejects.toThrow(invalid)
    await expect(parseEventLog(concat(whole, Uint8Array.of(0)))).rejects.toThrow(invalid)
  })

  it('is bounded in bytes and in events', async () => {
    const long = { pcr: 4, type: IPL, data: new Uint8Array(MAX_EVENT_LOG) }
    await expect(parse([long])).rejects.toThrow('bytes')
    const many = Array.from({ length: 2049 }, () => ipl(4))
    const algorithms: [number, number][] = [[11, 32]]
    await expect(parse(many, { algorithms })).rejects.toThrow('2048 events')
    expect((await parse(many.slice(1), { algorithms })).events.length).toBe(2048)
  })

  it('takes no memory for a length that is not there', async () => {
    const head = concat(await logBytes([], { algorithms: [[11, 32]] }), le32(4), le32(IPL))
    const event = concat(head, le32(1), le16(11), new Uint8Array(32), le32(0xffffffff))
    await expect(parseEventLog(event)).rejects.toThrow('cut short')
  })
})

describe('a flipped bit', () => {
  it('is refused, or changes PCRs, or only what nobody believes', async () => {
    const events = bootEvents().filter(({ pcr }) => pcr === 4)
    const small = await logBytes(
      [locality(3), ...events],
      // SHA-1 beside SHA-256: its digests are text.
      {
        algorithms: [
          [4, 20],
          [11, 32],
        ],
      },
    )
    const before = await parseEventLog(small)
    const pcrs = hexes(await replayEventLog(before))
    for (let bit = 0; bit < small.length * 8; bit++) {
      const after = await parseEventLog(flip(small, bit)).catch((error) => {
        expect(error).toEqual(invalid)
      })
      if (!after || hexes(await replayEventLog(after)).join() !== pcrs.join()) continue
      for (const [i, event] of after.events.entries()) {
        const { believed, data, digest, type } = before.events[i]!
        expect(event.digest).toEqual(digest)
        if (event.believed) expect([event.data, believed]).toEqual([data, true])
        if (type === SEPARATOR) expect(event).toEqual(before.events[i])
      }
    }
  })
})

describe('bytes that are no log', () => {
  const budget = { numRuns: 300, seed: 11 }
  it('are refused, never crashed over', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
        await expect(parseEventLog(bytes)).rejects.toThrow(invalid)
      }),
      budget,
    )
  })

  it('are refused or read when they begin as one', async () => {
    const head = await logBytes([])
    const event = fc.record({
      pcr: fc.nat(30),
      type: fc.oneof(fc.nat(20), fc.constantFrom(ACTION, 0x80000003)),
      data: fc.uint8Array({ maxLength: 40 }),
      digest: fc.uint8Array({ minLength: 31, maxLength: 33 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 5 }),
        fc.uint8Array({ maxLength: 9 }),
        async (events, tail) => {
          const bytes = concat(await logBytes(events), tail)
          const log = await parseEventLog(bytes).catch((error) => {
            expect(error).toEqual(invalid)
          })
          if (log) expect(log.events.length).toBeLessThanOrEqual(events.length)
          await parseEventLog(concat(head, tail)).catch((error) => expect(error).toEqual(invalid))
        },
      ),
      budget,
    )
  })

  it('round-trip when they are one', async () => {
    const event = fc.record({
      pcr: fc.nat(23),
      type: fc.integer({ min: 5, max: 0xffffffff }),
      data: fc.uint8Array({ maxLength: 80 }),
      digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 8 }), async (events) => {
        const read = (await parse(events)).events.map(({ believed: _, ...rest }) => rest)
        expect(read).toEqual(events)
      }),
      budget,
    )
  })
})
