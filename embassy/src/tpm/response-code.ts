// TPM_RC in words (Part 2, section 6.6), so that an error says which argument the TPM disliked.

/** Format-one codes by their low six bits; `-` where the specification leaves a gap. */
const FORMAT_ONE = (
  '- ASYMMETRIC ATTRIBUTES HASH VALUE HIERARCHY - KEY_SIZE MGF MODE TYPE HANDLE KDF RANGE AUTH_FAIL NONCE ' +
  'PP - SCHEME - - SIZE SYMMETRIC TAG SELECTOR - INSUFFICIENT SIGNATURE KEY POLICY_FAIL - INTEGRITY ' +
  'TICKET RESERVED_BITS BAD_AUTH EXPIRED POLICY_CC BINDING CURVE ECC_POINT'
).split(' ')

const FORMAT_ZERO = new Map([
  [0x100, 'INITIALIZE'],
  [0x101, 'FAILURE'],
  [0x103, 'SEQUENCE'],
  [0x10b, 'PRIVATE'],
  [0x119, 'HMAC'],
  [0x120, 'DISABLED'],
  [0x121, 'EXCLUSIVE'],
  [0x124, 'AUTH_TYPE'],
  [0x125, 'AUTH_MISSING'],
  [0x126, 'POLICY'],
  [0x127, 'PCR'],
  [0x128, 'PCR_CHANGED'],
  [0x12d, 'UPGRADE'],
  [0x12e, 'TOO_MANY_CONTEXTS'],
  [0x12f, 'AUTH_UNAVAILABLE'],
  [0x130, 'REBOOT'],
  [0x131, 'UNBALANCED'],
  [0x142, 'COMMAND_SIZE'],
  [0x143, 'COMMAND_CODE'],
  [0x144, 'AUTHSIZE'],
  [0x145, 'AUTH_CONTEXT'],
  [0x146, 'NV_RANGE'],
  [0x147, 'NV_SIZE'],
  [0x148, 'NV_LOCKED'],
  [0x149, 'NV_AUTHORIZATION'],
  [0x14a, 'NV_UNINITIALIZED'],
  [0x14b, 'NV_SPACE'],
  [0x14c, 'NV_DEFINED'],
  [0x150, 'BAD_CONTEXT'],
  [0x151, 'CPHASH'],
  [0x152, 'PARENT'],
  [0x153, 'NEEDS_TEST'],
  [0x154, 'NO_RESULT'],
  [0x155, 'SENSITIVE'],
  [0x901, 'CONTEXT_GAP'],
  [0x902, 'OBJECT_MEMORY'],
  [0x903, 'SESSION_MEMORY'],
  [0x904, 'MEMORY'],
  [0x905, 'SESSION_HANDLES'],
  [0x906, 'OBJECT_HANDLES'],
  [0x907, 'LOCALITY'],
  [0x908, 'YIELDED'],
  [0x909, 'CANCELED'],
  [0x90a, 'TESTING'],
  [0x910, 'REFERENCE_H0'],
  [0x911, 'REFERENCE_H1'],
  [0x920, 'NV_RATE'],
  [0x921, 'LOCKOUT'],
  [0x922, 'RETRY'],
  [0x923, 'NV_UNAVAILABLE'],
])

export const RC = {
  success: 0,
  /** The first handle's object is not loaded. */
  referenceH0: 0x910,
  /** TPM_RC_HANDLE for the first handle: what TPM2_NV_ReadPublic says of an index that is not there. */
  handleOne: 0x18b,
} as const

/** YIELDED, TESTING, NV_RATE, RETRY: nothing was executed, and the same command may be sent again. */
export const isTransient = (code: number): boolean => [0x908, 0x90a, 0x920, 0x922].includes(code)

/** `TPM_RC_VALUE (0x2c4) at parameter 2`, from the number alone. */
export function describeCode(code: number): string {
  const hex = `0x${code.toString(16)}`
  if ((code & 0x80) === 0) return `TPM_RC_${FORMAT_ZERO.get(code) ?? 'unknown'} (${hex})`
  const name = `TPM_RC_${(FORMAT_ONE[code & 0x3f] ?? '-').replace('-', 'unknown')} (${hex})`
  const number = (code >>> 8) & 15
  if (code & 0x40) return `${name} at parameter ${number}`
  if (number === 0) return name
  return number & 8 ? `${name} at session ${number & 7}` : `${name} at handle ${number}`
}
