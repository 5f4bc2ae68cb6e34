// TPM 2.0 commands of sealed objects (Part 3, chapter 12): make one below a parent, load it again, have its secret out.
// Pure, as commands.ts is. `by` is the authorisation area for the object that is named first.
import { concat } from '@sealed/protocol'
import { authorized, parameters } from './commands.ts'
import { type Reader, sized, u16, u32 } from './marshal.ts'

/** An object outside its TPM. */
export interface Blob {
  /** TPMT_PUBLIC. */
  readonly public: Uint8Array
  /** What TPM2B_PRIVATE holds: encrypted and authenticated by the parent. */
  readonly private: Uint8Array
}

/** Makes the object that a TPMT_PUBLIC template stands for, around `secret`, with an empty password. */
export function create(parent: number, template: Uint8Array, secret: Uint8Array, by: Uint8Array) {
  const name = 'TPM2_Create'
  const sensitive = sized(concat(u16(0), sized(secret)))
  const body = concat(sensitive, sized(template), u16(0), u32(0))
  const answer = (r: Reader): Blob => {
    const blob = { private: r.sized(), public: r.sized() }
    r.sized() // creationData
    r.sized() // creationHash
    r.take(6) // ticket: tag and hierarchy, then its digest
    r.sized()
    return blob
  }
  return authorized(name, 0x153, [parent], body, (r) => parameters(r, name, answer), by)
}

/** Loads an object below the parent that it was made under; gives its transient handle. */
export function load(parent: number, blob: Blob, by: Uint8Array) {
  const name = 'TPM2_Load'
  const body = concat(sized(blob.private), sized(blob.public))
  return authorized(
    name,
    0x157,
    [parent],
    body,
    (response) => {
      const handle = response.u32()
      parameters(response, name, (r) => r.sized()) // its name
      return handle
    },
    by,
  )
}

/** The secret of a loaded object. */
export function unseal(object: number, by: Uint8Array) {
  const name = 'TPM2_Unseal'
  return authorized(
    name,
    0x15e,
    [object],
    new Uint8Array(),
    (response) => parameters(response, name, (r) => r.sized()),
    by,
  )
}
