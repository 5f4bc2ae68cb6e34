// Sealed answers: what was written is read, and a stream that was cut, reordered, reflected or spliced is an error.
import { describe, expect, it } from 'vitest'
import { type Bytes, concat, fromHex, randomBytes, sha256, toHex, u32be, utf8 } from './bytes.ts'
import {
  FRAME_TYPES,
  type Frame,
  MAX_FRAME_BYTES,
  MAX_FRAME_PLAINTEXT,
  ResponseWriter,
  readResponse,
  SERVER_RANDOM_BYTES,
  sessionSalt,
} from './response.ts'

const context = {
  responseSecret: new Uint8Array(32).fill(1),
  headerDigest: new Uint8Array(32).fill(2),
}
const invalid = expect.objectContaining({ code: 'response.invalid' })
const truncated = expect.objectContaining({ code: 'response.truncated' })

/** A stream of these chunks that tells whether it was let go. */
function streamOf(...chunks: Uint8Array[]) {
  const state = { released: false, read: 0 }
  async function* generate() {
    try {
      for (const chunk of chunks) {
        state.read++
        yield chunk
      }
    } finally {
      state.released = true
    }
  }
  return Object.assign(generate(), { state })
}
async function read(...chunks: Uint8Array[]): Promise<Frame[]> {
  const frames: Frame[] = []
  for await (const frame of readResponse(context, streamOf(...chunks))) frames.push(frame)
  return frames
}
/** Server random and frames, apart. */
async function written(...types: Frame['type'][]): Promise<Bytes[]> {
  const writer = new ResponseWriter(context)
  const out = [writer.serverRandom]
  for (const [i, type] of types.entries()) out.push(await writer.frame(type, utf8(`${type} ${i}`)))
  return out
}
const shown = (frames: Frame[]) =>
  frames.map(({ type, plaintext }) => [type, new TextDecoder().decode(plaintext)])

describe('a sealed answer', () => {
  it('is read as it was written, beats left out', async () => {
    const parts = await written('beat', 'head', 'data', 'beat', 'data', 'final')
    const expected = [
      ['head', 'head 1'],
      ['data', 'data 2'],
      ['data', 'data 4'],
      ['final', 'final 5'],
    ]
    expect(shown(await read(...parts))).toEqual(expected)
    const bytes = concat(...parts)
    expect(shown(await read(bytes))).toEqual(expected)
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte))
    expect(shown(await read(new Uint8Array(0), ...single, new Uint8Array(0)))).toEqual(expected)
  })

  it('carries empty frames and the largest', async () => {
    const writer = new ResponseWriter(context)
    const large = new Uint8Array(MAX_FRAME_PLAINTEXT).fill(7)
    const head = await writer.frame('head', new Uint8Array(0))
    const data = await writer.frame('data', large)
    const final = await writer.frame('final', new Uint8Array(0))
    const frames = await read(writer.serverRandom, head, data, final)
    expect(frames.map(({ plaintext }) => plaintext.length)).toEqual([0, large.length, 0])
    expect(toHex(await sha256(frames[1]!.plaintext))).toBe(toHex(await sha256(large)))
    const more = writer.frame('data', new Uint8Array(MAX_FRAME_PLAINTEXT + 1))
    await expect(more).rejects.toThrow(invalid)
  })

  it('has the bytes that the specification says', async () => {
    const random = new Uint8Array(SERVER_RANDOM_BYTES).fill(3)
    const writer = new ResponseWriter(context, random)
    await writer.frame('head', utf8('x'))
    const frame = await writer.frame('data', utf8('hello'))
    expect(toHex(frame.subarray(0, 5))).toBe('0000001501')
    const secret = await crypto.subtle.importKey('raw', context.responseSecret, 'HKDF', false, [
      'deriveKey',
    ])
    const key = await crypto.subtle.deriveKey(
      {
        name: 'HKDF',
        hash: 'SHA-256',
        salt: context.headerDigest,
        info: concat(utf8('sealed/response/v1'), random),
      },
      secret,
      { name: 'AES-GCM', length: 256 },
      false,
      ['decrypt'],
    )
    const iv = fromHex('000000000000000000000001')
    const additionalData = concat(context.headerDigest, Uint8Array.of(1))
    const plain = crypto.subtle.decrypt(
      { name: 'AES-GCM', iv, additionalData },
      key,
      frame.slice(5),
    )
    expect(new Uint8Array(await plain)).toEqual(utf8('hello'))
  })

  it('differs each time', async () => {
    const [one, other] = [await written('head', 'final'), await written('head', 'final')]
    for (const [i, part] of one.entries()) expect(part).not.toEqual(other[i])
  })
})

describe('a sealed answer that was', () => {
  it('cut at any byte is an error', async () => {
    const bytes = concat(...(await written('beat', 'head', 'data', 'final')))
    for (let length = 0; length < bytes.length; length++)
      await expect(read(bytes.subarray(0, length)), `cut at ${length}`).rejects.toThrow(truncated)
    expect(await read(bytes)).toHaveLength(3)
  })

  it('reordered or thinned out in any way is an error', async () => {
    const [random, ...frames] = await written('head', 'data', 'data', 'final')
    const orders: number[][] = [[]]
    for (let n = 0; n < 4; n++)
      for (const order of orders.filter(({ length }) => length === n))
        for (let i = 0; i < 4; i++) orders.push([...order, i])
    let accepted = 0
    for (const order of orders) {
      try {
        await read(random!, ...order.map((i) => frames[i]!))
        accepted++
        expect(order).toEqual([0, 1, 2, 3])
      } catch (error) {
        expect([invalid, truncated]).toContainEqual(error)
      }
    }
    expect(accepted).toBe(1)
  })

  it('continued after its end is an error, and its final frame is not believed', async () => {
    const parts = await written('head', 'final')
    for (const more of [Uint8Array.of(0), parts[2]!, concat(...parts)]) {
      const types: string[] = []
      const reading = async () => {
        for await (const { type } of readResponse(context, streamOf(...parts, more)))
          types.push(type)
      }
      await expect(reading()).rejects.toThrow(invalid)
      expect(types).toEqual(['head'])
    }
  })

  it('changed in any bit is an error', async () => {
    const bytes = concat(...(await written('head', 'data', 'final')))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      await expect(read(flipped), `bit ${bit}`).rejects.toThrow()
    }
  })

  it('made in another session, or for another header, is an error', async () => {
    const parts = await written('head', 'final')
    for (const other of [
      { ...context, responseSecret: randomBytes(32) },
      { ...context, headerDigest: randomBytes(32) },
    ]) {
      const reading = readResponse(other, streamOf(...parts)).next()
      await expect(reading).rejects.toThrow(invalid)
    }
  })

  it('spliced from two of one session is an error', async () => {
    const [one, other] = [
      await written('head', 'data', 'final'),
      await written('head', 'data', 'final'),
    ]
    for (let at = 0; at < one.length; at++)
      await expect(read(...one.with(at, other[at]!))).rejects.toThrow(invalid)
  })

  it('given other types is an error', async () => {
    const parts = await written('head', 'data', 'final')
    for (const at of [1, 2, 3])
      for (let type = 0; type < 6; type++) {
        if (parts[at]![4] === type) continue
        const relabelled = parts[at]!.slice()
        relabelled[4] = type
        await expect(read(...parts.with(at, relabelled))).rejects.toThrow(invalid)
      }
  })

  it('written in an order that there is not is an error, though every frame authenticates', async () => {
    const orders: Frame['type'][][] = [
      ['data', 'head', 'final'],
      ['final'],
      ['beat', 'final'],
      ['head', 'head', 'final'],
      ['head', 'data', 'head', 'final'],
    ]
    for (const order of orders)
      await expect(read(...(await written(...order)))).rejects.toThrow(invalid)
    await expect(read(...(await written('head', 'data', 'beat')))).rejects.toThrow(truncated)
  })
})

describe('a frame’s length', () => {
  it.each([0, 1, 15, MAX_FRAME_BYTES + 1, 0x7fffffff, 0xffffffff])(
    'of %i is refused before anything of it is read',
    async (length) => {
      const head = concat(u32be(length), Uint8Array.of(0))
      const more = Array.from({ length: 40 }, () => new Uint8Array(65_536))
      const stream = streamOf(randomBytes(32), head, ...more)
      await expect(readResponse(context, stream).next()).rejects.toThrow(invalid)
      expect(stream.state.read).toBe(2)
    },
  )

  it('may be the smallest and the largest', async () => {
    for (const length of [16, MAX_FRAME_BYTES]) {
      const head = concat(u32be(length), Uint8Array.of(FRAME_TYPES.indexOf('head')))
      const reading = read(randomBytes(32), head, new Uint8Array(length))
      await expect(reading).rejects.toThrow('does not authenticate')
    }
  })
})

describe('a stream that carries an answer', () => {
  it('is let go when the answer is refused, cut, left or over', async () => {
    const parts = await written('head', 'data', 'final')
    const bad = streamOf(parts[0]!, parts[2]!, parts[1]!, parts[3]!)
    await expect(readResponse(context, bad).next()).rejects.toThrow(invalid)
    expect(bad.state.released).toBe(true)

    const left = streamOf(...parts)
    for await (const _ of readResponse(context, left)) break
    expect(left.state.released).toBe(true)

    const whole = streamOf(...parts)
    for await (const _ of readResponse(context, whole));
    expect(whole.state.released).toBe(true)
  })

  it('passes its own failure on', async () => {
    async function* failing() {
      yield randomBytes(32)
      throw new Error('connection reset')
    }
    await expect(readResponse(context, failing()).next()).rejects.toThrow('connection reset')
  })
})

describe('a session’s salt', () => {
  it('is of secret and header, and is not the frames’ key', async () => {
    const salt = await sessionSalt(context)
    expect(salt.length).toBe(32)
    expect(await sessionSalt(context)).toEqual(salt)
    const other = { ...context, headerDigest: randomBytes(32) }
    expect(await sessionSalt(other)).not.toEqual(salt)
    expect(await sessionSalt({ ...context, responseSecret: randomBytes(32) })).not.toEqual(salt)
  })
})
