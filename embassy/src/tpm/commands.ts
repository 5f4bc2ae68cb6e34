// TPM 2.0 commands as bytes and their answers as values (Part 3): the few that the embassy uses.
// Pure: nothing here knows how bytes travel. Authorisation is the empty password, or a policy session.
import { concat } from '@sealed/protocol'
import { Reader, sized, u8, u16, u32 } from './marshal.ts'

/** A command ready to send; `answer` reads what follows the ten-byte response header. */
export interface Command<T> {
  readonly name: string
  readonly bytes: Uint8Array
  readonly answer: (response: Reader) => T
}

/** What TPM2_NV_ReadPublic tells: TPMA_NV, and the size in bytes. */
export interface NvPublic {
  readonly attributes: number
  readonly size: number
}

export const HANDLE = { owner: 0x40000001, endorsement: 0x4000000b } as const
export const SHA256 = 0x000b
export const NULL = 0x0010

/** An authorisation area of one session without nonce and HMAC, which goes on after the command. */
const session = (handle: number, attributes: number) =>
  concat(u32(9), u32(handle), u16(0), u8(attributes), u16(0))
const EMPTY_PASSWORD = session(0x40000009, 0)
/** Authorises by what was asserted in a policy session (neither salted nor bound, so without HMAC). */
export const policySession = (handle: number): Uint8Array => session(handle, 1)

export function plain<T>(
  name: string,
  code: number,
  body: Uint8Array,
  answer: (r: Reader) => T,
): Command<T> {
  return { name, bytes: concat(u16(0x8001), u32(10 + body.length), u32(code), body), answer }
}

export function authorized<T>(
  name: string,
  code: number,
  handles: readonly number[],
  parameters: Uint8Array,
  answer: (r: Reader) => T,
  by: Uint8Array = EMPTY_PASSWORD,
): Command<T> {
  // One session, for the first handle; what follows it (an NV index, a policy session) needs none.
  const body = concat(...handles.map(u32), by, parameters)
  const bytes = concat(u16(0x8002), u32(10 + body.length), u32(code), body)
  return { name, bytes, answer }
}

/** Steps into the parameters of a response to an authorised command; the session area that follows must be empty-handed. */
export function parameters<T>(response: Reader, name: string, read: (r: Reader) => T): T {
  const inner = new Reader(response.take(response.u32()), name)
  const value = read(inner)
  inner.end()
  response.sized()
  response.u8()
  response.sized()
  return value
}

export const nothing = (name: string) => (response: Reader) =>
  parameters(response, name, () => undefined)

/** TPML_PCR_SELECTION of the SHA-256 bank, three bytes of bitmap, lowest PCR in the lowest bit. */
export function pcrSelection(pcrs: readonly number[]): Uint8Array {
  const bitmap = new Uint8Array(3)
  for (const pcr of pcrs) bitmap[pcr >> 3]! |= 1 << (pcr & 7)
  return concat(u32(1), u16(SHA256), u8(3), bitmap)
}

/** Makes the key that a TPMT_PUBLIC template stands for, under the endorsement hierarchy or another. */
export function createPrimary(template: Uint8Array, hierarchy: number = HANDLE.endorsement) {
  const name = 'TPM2_CreatePrimary'
  const noSecret = sized(concat(u16(0), u16(0)))
  const body = concat(noSecret, sized(template), u16(0), u32(0))
  return authorized(name, 0x131, [hierarchy], body, (response) => {
    const handle = response.u32()
    return parameters(response, name, (r) => {
      const area = r.sized()
      r.sized() // creationData
      r.sized() // creationHash
      r.take(6) // ticket: tag and hierarchy, then its digest
      r.sized()
      return { handle, public: area, name: r.sized() }
    })
  })
}

export function quote(key: number, extraData: Uint8Array, pcrs: readonly number[]) {
  const name = 'TPM2_Quote'
  const body = concat(sized(extraData), u16(NULL), pcrSelection(pcrs))
  return authorized(name, 0x158, [key], body, (response) =>
    parameters(response, name, (r) => ({ attest: r.sized(), signature: readSignature(r) })),
  )
}

/** TPMT_SIGNATURE as it stands: RSASSA or ECDSA over SHA-256. */
function readSignature(r: Reader): Uint8Array {
  const algorithm = r.u16()
  const head = concat(u16(algorithm), u16(r.u16()))
  return algorithm === 0x0018
    ? concat(head, sized(r.sized()), sized(r.sized()))
    : concat(head, sized(r.sized()))
}

export function pcrExtend(pcr: number, digest: Uint8Array) {
  const name = 'TPM2_PCR_Extend'
  return authorized(name, 0x182, [pcr], concat(u32(1), u16(SHA256), digest), nothing(name))
}

/** One answer holds eight PCRs at most: `selected` says which ones came. */
export function pcrRead(pcrs: readonly number[]) {
  return plain('TPM2_PCR_Read', 0x17e, pcrSelection(pcrs), (r) => {
    const updates = r.u32()
    const selected: number[] = []
    for (let banks = r.u32(); banks > 0; banks--) {
      const bank = r.u16()
      const bitmap = r.take(r.u8())
      for (let pcr = 0; pcr < bitmap.length * 8; pcr++)
        if (bank === SHA256 && bitmap[pcr >> 3]! & (1 << (pcr & 7))) selected.push(pcr)
    }
    const digests = Array.from({ length: Math.min(r.u32(), 8) }, () => r.sized())
    return { updates, selected, digests }
  })
}

export const readClock = () =>
  plain('TPM2_ReadClock', 0x181, new Uint8Array(), (r) => {
    r.u64() // time since power on
    return { clockMs: r.u64(), resetCount: r.u32(), restartCount: r.u32(), safe: r.u8() === 1 }
  })

/** The transient objects that are loaded now (TPM_CAP_HANDLES). */
export const transientHandles = () =>
  plain('TPM2_GetCapability', 0x17a, concat(u32(1), u32(0x80000000), u32(64)), (r) => {
    r.u8() // more data: there are far fewer than 64 slots
    r.u32()
    return Array.from({ length: Math.min(r.u32(), 64) }, () => r.u32())
  })

export const flushContext = (handle: number) =>
  plain('TPM2_FlushContext', 0x165, u32(handle), () => undefined)

export const nvReadPublic = (index: number) =>
  plain('TPM2_NV_ReadPublic', 0x169, u32(index), (r): NvPublic => {
    const area = new Reader(r.sized(), 'TPM2_NV_ReadPublic')
    r.sized() // name
    area.u32()
    area.u16()
    const attributes = area.u32()
    area.sized() // policy
    const size = area.u16()
    area.end()
    return { attributes, size }
  })

export function nvDefine(index: number, attributes: number, size: number) {
  const name = 'TPM2_NV_DefineSpace'
  const area = concat(u32(index), u16(SHA256), u32(attributes), u16(0), u16(size))
  return authorized(name, 0x12a, [HANDLE.owner], concat(u16(0), sized(area)), nothing(name))
}

/** Reads with the index's own, empty, authorisation: it works whatever the owner's is. */
export function nvRead(index: number, offset: number, size: number) {
  const name = 'TPM2_NV_Read'
  return authorized(name, 0x14e, [index, index], concat(u16(size), u16(offset)), (response) =>
    parameters(response, name, (r) => r.sized()),
  )
}

export function nvIncrement(index: number) {
  const name = 'TPM2_NV_Increment'
  return authorized(name, 0x134, [index, index], new Uint8Array(), nothing(name))
}

export function nvExtend(index: number, data: Uint8Array) {
  const name = 'TPM2_NV_Extend'
  return authorized(name, 0x136, [index, index], sized(data), nothing(name))
}
