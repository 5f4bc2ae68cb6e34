// What is read from GCE's certificates and firmware values, and every way in which they are not what they should be.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bytes, concat, sha256, utf8 } from '../bytes.ts'
import { DerReader } from './der.ts'
import { gceFirmware, TECHNOLOGIES } from './gce-firmware.ts'
import { acceptInstance, parseGceInstance } from './gce-instance.ts'
import { der, derFlag, derText, gceInstanceDer } from './test-tpm.ts'

const invalid = expect.objectContaining({ code: 'evidence.invalid' })
const integer = (...bytes: number[]) => der(0x02, Uint8Array.of(...bytes))
const INSTANCE = {
  zone: 'europe-west4-a',
  region: 'europe-west4',
  project: 'sealed-project',
  project_number: '10995116278',
  id: '1311768467463790320',
  name: 'sealed-1',
}

describe('GCE’s instance extension', () => {
  it('says where a machine runs and whose it is', () => {
    expect(parseGceInstance(gceInstanceDer())).toEqual(INSTANCE)
    const project = 'example.com:sealed'
    expect(parseGceInstance(gceInstanceDer({ project }))?.project).toBe(project)
  })

  it('says nothing of a machine that is not of production', () => {
    expect(parseGceInstance(gceInstanceDer({ production: false }))).toBeUndefined()
    expect(parseGceInstance(gceInstanceDer({ parts: parts() }))).toBeUndefined()
    expect(parseGceInstance(withProperties())).toBeUndefined()
    expect(parseGceInstance(withProperties(der(0xa0, integer(0))))).toBeUndefined()
    expect(parseGceInstance(withProperties(der(0xa2, derFlag(true))))).toBeUndefined()
  })

  it('gives a region only to a zone that has one', () => {
    for (const zone of ['software', 'europe-west4', 'a-b'])
      expect(parseGceInstance(gceInstanceDer({ zone }))).not.toHaveProperty('region')
  })

  it('has ids of 64 bits', () => {
    const id = (...bytes: number[]) =>
      parseGceInstance(produced(parts().with(3, integer(...bytes))))?.id
    expect(id(0)).toBe('0')
    expect(id(0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)).toBe(String(2n ** 64n - 1n))
    for (const bytes of [
      [],
      [0x80],
      [0, 1],
      [0, 0],
      [1, 0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0],
    ])
      expect(() => id(...bytes)).toThrow(invalid)
  })

  it.each<[string, Bytes]>([
    ['bytes after it', concat(gceInstanceDer(), Uint8Array.of(0))],
    [
      'bytes after its members',
      gceInstanceDer({ parts: [...parts(), production(), derFlag(true)] }),
    ],
    ['bytes after a property’s value', withProperties(der(0xa1, derFlag(true), derFlag(true)))],
    [
      'bytes after the properties',
      gceInstanceDer({ parts: [...parts(), der(0xa0, der(0x30), derFlag(true))] }),
    ],
    ['a property of no one', withProperties(der(0xa1, derFlag(true)), der(0xa6, derFlag(true)))],
    ['a property twice', withProperties(der(0xa1, derFlag(true)), der(0xa1, derFlag(true)))],
    ['properties out of order', withProperties(der(0xa1, derFlag(true)), der(0xa0, integer(0)))],
    [
      'a flag that is neither true nor false',
      withProperties(der(0xa1, der(0x01, Uint8Array.of(1)))),
    ],
    ['a flag of two bytes', withProperties(der(0xa1, der(0x01, Uint8Array.of(0xff, 0xff))))],
    ['a flag in place of a number', withProperties(der(0xa0, derFlag(true)))],
    ['a member too few', gceInstanceDer({ parts: parts().slice(0, 4) })],
    [
      'members in another order',
      gceInstanceDer({ parts: [derText('a'), derText('b'), ...parts().slice(1)] }),
    ],
    [
      'another kind of text',
      gceInstanceDer({ parts: parts().with(0, der(0x13, Uint8Array.of(0x61))) }),
    ],
    [
      'text that is no UTF-8',
      gceInstanceDer({ parts: parts().with(0, der(0x0c, Uint8Array.of(0xff))) }),
    ],
    ['a name with a line feed', gceInstanceDer({ zone: 'europe-west4-a\n' })],
    ['a name with capitals', gceInstanceDer({ project: 'Sealed' })],
    ['an empty name', gceInstanceDer({ zone: '' })],
    ['a name of 64 letters', gceInstanceDer({ zone: 'a'.repeat(64) })],
    ['a set in place of a sequence', Uint8Array.of(0x31, ...gceInstanceDer().slice(1))],
  ])('is refused with %s', (_, bytes) => {
    expect(() => parseGceInstance(bytes)).toThrow()
  })

  it('is refused wherever it is cut', () => {
    const whole = gceInstanceDer()
    for (let length = 0; length < whole.length; length++)
      expect(() => parseGceInstance(whole.slice(0, length))).toThrow(invalid)
  })

  it('never crashes its reader', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(400), (bytes, place) => {
        const whole = gceInstanceDer()
        const at = place % whole.length
        whole.set(bytes.subarray(0, whole.length - at), at)
        for (const input of [bytes, whole])
          try {
            parseGceInstance(input)
          } catch (error) {
            expect((error as { code: string }).code).toMatch(/^(?:evidence|encoding)\.invalid$/)
          }
      }),
      { numRuns: 2000, seed: 7 },
    )
  })

  it('is required where the policy names places', () => {
    expect(() => acceptInstance(undefined, {})).toThrow('does not say where')
    expect(acceptInstance(INSTANCE, {})).toBeUndefined()
  })
})

describe('a DER length', () => {
  const text = (...head: number[]) => new DerReader(Uint8Array.of(0x0c, ...head, 0x61)).text()
  it('is the shortest there is', () => {
    expect(text(1)).toBe('a')
    for (const head of [
      [0x81, 1],
      [0x82, 0, 1],
      [0x83, 0, 0, 1],
      [0x80],
      [0xff],
      [2],
      [0x81],
      [0x82, 1],
    ])
      expect(() => text(...head)).toThrow(invalid)
    const long = (length: number, ...head: number[]) =>
      new DerReader(Uint8Array.of(0x0c, ...head, ...new Uint8Array(length).fill(0x61))).text()
        .length
    expect(long(128, 0x81, 128)).toBe(128)
    expect(long(256, 0x82, 1, 0)).toBe(256)
    expect(() => long(255, 0x82, 0, 255)).toThrow(invalid)
    expect(() => long(127, 0x81, 127)).toThrow(invalid)
  })
})

describe('GCE’s PCR 0', () => {
  /** Version string (UTF-16, little-endian), what the host says, separator. */
  async function pcr0(version: number, technology: number): Promise<Bytes> {
    const wide = [...utf8(`GCE Virtual Firmware v${version}\0`)].flatMap((byte) => [byte, 0])
    const host = [...utf8('GCE NonHostInfo\0'), technology, ...new Uint8Array(15)]
    let value: Bytes = new Uint8Array(32)
    for (const data of [wide, host, [0, 0, 0, 0]])
      value = await sha256(value, await sha256(Uint8Array.from(data)))
    return value
  }

  it('says which version and technology, for each as the firmware measures it', async () => {
    for (const version of [1, 2])
      for (const [byte, technology] of TECHNOLOGIES.entries())
        expect(gceFirmware(await pcr0(version, byte))).toEqual({ technology, version })
  })

  it('is nobody’s when it is another', async () => {
    for (const value of [await pcr0(3, 0), await pcr0(2, 5), new Uint8Array(32), undefined])
      expect(gceFirmware(value)).toBeUndefined()
  })
})

function parts(): Bytes[] {
  const number = integer(0x02, 0x8f, 0x5c, 0x28, 0xf6)
  return [derText('europe-west4-a'), number, derText('sealed-project'), number, derText('sealed-1')]
}
function production(): Bytes {
  return der(0xa0, der(0x30, der(0xa1, derFlag(true))))
}
function withProperties(...properties: Bytes[]): Bytes {
  return gceInstanceDer({ parts: [...parts(), der(0xa0, der(0x30, ...properties))] })
}
function produced(members: Bytes[]): Bytes {
  return gceInstanceDer({ parts: [...members, production()] })
}
