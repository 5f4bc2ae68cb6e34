// Fernet (github.com/fernet/spec, version 0x80): binary safe, and in two halves, so that a process can check a token with
// the signing half before anyone gives it the encryption half. Never decrypts what has not authenticated.
import { type Bytes, concat, equal, fromBase64url, toBase64url } from './bytes.ts'
import { SealedError } from './errors.ts'
import { aesCbc, hmacSha256 } from './primitives.ts'

const HEADER = 9
const IV = 16
const MAC = 32
/** Bytes a token adds around the padded plaintext. */
export const FERNET_OVERHEAD = HEADER + IV + MAC

export interface FernetOptions {
  /** Seconds a token stays valid; without it age is not judged. */
  ttlSeconds?: number
  /** Milliseconds since the epoch. */
  now?: number
}

/** A token whose MAC has been checked; the only thing that `decryptToken` takes. */
export interface AuthenticToken {
  readonly iv: Bytes
  readonly ciphertext: Bytes
}

const CLOCK_SKEW_SECONDS = 60
const invalid = () => new SealedError('fernet.invalid', 'Fernet token does not authenticate')

/** The two 16-byte halves of a 32-byte Fernet key: signing, then encryption. */
export function splitKey(key: Uint8Array): { signing: Bytes; encryption: Bytes } {
  if (key.length !== 32)
    throw new SealedError('fernet.invalid', `a Fernet key has 32 bytes, not ${key.length}`)
  return { signing: key.slice(0, 16) as Bytes, encryption: key.slice(16) as Bytes }
}

/** Encrypts to a token (base64url text, padded as the specification says). */
export async function encryptToken(
  key: Uint8Array,
  plaintext: Uint8Array,
  options: { now?: number; iv?: Uint8Array } = {},
): Promise<string> {
  const halves = splitKey(key)
  const iv = (options.iv ?? crypto.getRandomValues(new Uint8Array(IV))) as Bytes
  const head = new Uint8Array(HEADER)
  head[0] = 0x80
  const seconds = Math.floor((options.now ?? Date.now()) / 1000)
  new DataView(head.buffer).setBigUint64(1, BigInt(seconds))
  const ciphertext = await (await aesCbc(halves.encryption)).encrypt(iv, plaintext)
  const signed = concat(head, iv, ciphertext)
  const digits = toBase64url(concat(signed, await hmacSha256(halves.signing, signed)))
  return digits.padEnd(Math.ceil(digits.length / 4) * 4, '=')
}

/** Checks form, MAC (in constant time) and age with the signing half. Throws `fernet.invalid` or `fernet.expired`. */
export async function authenticateToken(
  signing: Uint8Array,
  token: string,
  options: FernetOptions = {},
): Promise<AuthenticToken> {
  const bytes = decode(token)
  const body = bytes.length - FERNET_OVERHEAD
  if (body < IV || body % IV !== 0 || bytes[0] !== 0x80) throw invalid()
  const signed = bytes.subarray(0, bytes.length - MAC)
  const mac = bytes.subarray(bytes.length - MAC)
  if (!equal(await hmacSha256(signing, signed), mac)) throw invalid()
  if (options.ttlSeconds !== undefined) {
    const now = Math.floor((options.now ?? Date.now()) / 1000)
    const made = Number(new DataView(bytes.buffer).getBigUint64(1))
    if (made + options.ttlSeconds < now || made > now + CLOCK_SKEW_SECONDS)
      throw new SealedError(
        'fernet.expired',
        'Fernet token is outside its time window: check the clock and send a new one',
      )
  }
  return {
    iv: bytes.slice(HEADER, HEADER + IV),
    ciphertext: bytes.slice(HEADER + IV, bytes.length - MAC),
  }
}

/** Decrypts an authenticated token with the encryption half. Throws `fernet.invalid` on bad padding. */
export async function decryptAuthentic(
  encryption: Uint8Array,
  token: AuthenticToken,
): Promise<Bytes> {
  const cipher = await aesCbc(encryption)
  try {
    return await cipher.decrypt(token.iv, token.ciphertext)
  } catch {
    throw invalid()
  }
}

/** Authenticates and decrypts in one step. */
export async function decryptToken(
  key: Uint8Array,
  token: string,
  options?: FernetOptions,
): Promise<Bytes> {
  const halves = splitKey(key)
  return decryptAuthentic(
    halves.encryption,
    await authenticateToken(halves.signing, token, options),
  )
}

/** Base64url, but padded. */
function decode(token: string): Bytes {
  if (token.length % 4 !== 0) throw invalid()
  try {
    return fromBase64url(token.replace(/={1,2}$/, ''))
  } catch {
    throw invalid()
  }
}
