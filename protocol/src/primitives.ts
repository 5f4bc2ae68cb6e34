// SHA-256, HMAC, HKDF and AES for the small things that the formats here are made of. Web Crypto hands each to another
// thread and waits for it, which costs some twenty times as much as the work; where the runtime has Node's own functions
// those do it at once. The bytes are the same either way, and a test holds one against the other.
import type { Bytes } from './bytes.ts'
import { concat } from './concat.ts'
import { nodeModule } from './runtime.ts'

export interface Primitives {
  sha256(data: Uint8Array): Promise<Bytes>
  hmacSha256(key: Uint8Array, data: Uint8Array): Promise<Bytes>
  /** RFC 5869 with SHA-256; 32 bytes. */
  hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array): Promise<Bytes>
  /** AES-256-GCM, the 16-byte tag behind the ciphertext. */
  aesGcm(key: Uint8Array): Promise<Aead>
  /** AES-128-CBC with PKCS #7 padding. */
  aesCbc(key: Uint8Array): Promise<Cipher>
}
export interface Aead {
  /** Ciphertext and tag, behind `prefix` as it is. */
  encrypt(
    iv: Uint8Array,
    associated: Uint8Array,
    plaintext: Uint8Array,
    prefix?: Uint8Array,
  ): Promise<Bytes>
  /** Rejects what does not authenticate. */
  decrypt(iv: Uint8Array, associated: Uint8Array, ciphertext: Uint8Array): Promise<Bytes>
}
export interface Cipher {
  encrypt(iv: Uint8Array, plaintext: Uint8Array): Promise<Bytes>
  /** Rejects what is not padded. */
  decrypt(iv: Uint8Array, ciphertext: Uint8Array): Promise<Bytes>
}

/** What is longer goes to another thread all the same, so that it holds nobody up. */
export const AT_ONCE_BYTES = 262_144

const HMAC = { name: 'HMAC', hash: 'SHA-256' }
const TAG = 16
const NONE = new Uint8Array(0)
type Usage = 'encrypt' | 'decrypt'

export const web: Primitives = {
  sha256: async (data) => new Uint8Array(await crypto.subtle.digest('SHA-256', data as Bytes)),
  hmacSha256: async (raw, data) => {
    const key = await crypto.subtle.importKey('raw', raw as Bytes, HMAC, false, ['sign'])
    return new Uint8Array(await crypto.subtle.sign('HMAC', key, data as Bytes))
  },
  hkdfSha256: async (secret, salt, info) => {
    const key = await crypto.subtle.importKey('raw', secret as Bytes, 'HKDF', false, ['deriveBits'])
    const how = { name: 'HKDF', hash: 'SHA-256', salt: salt as Bytes, info: info as Bytes }
    return new Uint8Array(await crypto.subtle.deriveBits(how, key, 256))
  },
  aesGcm: async (raw) => {
    const key = await aesKey('AES-GCM', raw)
    const how = (iv: Uint8Array, associated: Uint8Array) =>
      ({ name: 'AES-GCM', iv: iv as Bytes, additionalData: associated as Bytes }) as const
    const run = async (usage: Usage, iv: Uint8Array, associated: Uint8Array, data: Uint8Array) =>
      new Uint8Array(await crypto.subtle[usage](how(iv, associated), key, data as Bytes))
    return {
      encrypt: async (iv, associated, plaintext, prefix) => {
        const sealed = await run('encrypt', iv, associated, plaintext)
        return prefix ? concat(prefix, sealed) : sealed
      },
      decrypt: (iv, associated, ciphertext) => run('decrypt', iv, associated, ciphertext),
    }
  },
  aesCbc: async (raw) => {
    const key = await aesKey('AES-CBC', raw)
    const run = async (usage: Usage, iv: Uint8Array, data: Uint8Array) =>
      new Uint8Array(
        await crypto.subtle[usage]({ name: 'AES-CBC', iv: iv as Bytes }, key, data as Bytes),
      )
    return {
      encrypt: (iv, plaintext) => run('encrypt', iv, plaintext),
      decrypt: (iv, ciphertext) => run('decrypt', iv, ciphertext),
    }
  },
}

const aesKey = (name: string, raw: Uint8Array): Promise<CryptoKey> =>
  crypto.subtle.importKey('raw', raw as Bytes, name, false, ['encrypt', 'decrypt'])

/** Of Node's crypto module, what is used here. */
export interface NodeCrypto {
  hash(algorithm: 'sha256', data: Uint8Array, encoding: 'buffer'): Uint8Array
  /** Node takes a key's bytes too, but finds out by an exception that they are none of its objects. */
  createSecretKey(key: Uint8Array): NodeKey
  createHmac(
    algorithm: 'sha256',
    key: NodeKey,
  ): { update(data: Uint8Array): { digest(): Uint8Array } }
  hkdfSync(
    algorithm: 'sha256',
    secret: NodeKey,
    salt: Uint8Array,
    info: Uint8Array,
    length: number,
  ): ArrayBuffer
  createCipheriv: MakeCipher
  createDecipheriv: MakeCipher
}
type NodeKey = object
type MakeCipher = (algorithm: string, key: NodeKey, iv: Uint8Array) => NodeCipher
interface NodeCipher {
  setAAD(associated: Uint8Array): void
  setAuthTag(tag: Uint8Array): void
  getAuthTag(): Uint8Array
  update(data: Uint8Array): Uint8Array
  final(): Uint8Array
}

export const atOnce = (node: NodeCrypto): Primitives => ({
  sha256: async (data) =>
    data.length > AT_ONCE_BYTES ? web.sha256(data) : own(node.hash('sha256', data, 'buffer')),
  hmacSha256: async (key, data) =>
    data.length > AT_ONCE_BYTES
      ? web.hmacSha256(key, data)
      : own(node.createHmac('sha256', node.createSecretKey(key)).update(data).digest()),
  hkdfSha256: async (secret, salt, info) =>
    new Uint8Array(node.hkdfSync('sha256', node.createSecretKey(secret), salt, info, 32)),
  aesGcm: async (raw) => {
    const key = node.createSecretKey(raw)
    return {
      encrypt: async (iv, associated, plaintext, prefix = NONE) => {
        const cipher = node.createCipheriv('aes-256-gcm', key, iv)
        cipher.setAAD(associated)
        return concat(prefix, cipher.update(plaintext), cipher.final(), cipher.getAuthTag())
      },
      decrypt: async (iv, associated, ciphertext) => {
        // Runtimes differ in whether they take the beginning of a tag for one, whatever its length was said to be.
        if (ciphertext.length < TAG) throw new RangeError('no room for a tag')
        const cipher = node.createDecipheriv('aes-256-gcm', key, iv)
        cipher.setAAD(associated)
        cipher.setAuthTag(ciphertext.subarray(-TAG))
        return concat(cipher.update(ciphertext.subarray(0, -TAG)), cipher.final())
      },
    }
  },
  aesCbc: async (raw) => {
    const key = node.createSecretKey(raw)
    const long = async () => web.aesCbc(raw)
    const run = (cipher: NodeCipher, data: Uint8Array) =>
      concat(cipher.update(data), cipher.final())
    return {
      encrypt: async (iv, plaintext) =>
        plaintext.length > AT_ONCE_BYTES
          ? (await long()).encrypt(iv, plaintext)
          : run(node.createCipheriv('aes-128-cbc', key, iv), plaintext),
      decrypt: async (iv, ciphertext) =>
        ciphertext.length > AT_ONCE_BYTES
          ? (await long()).decrypt(iv, ciphertext)
          : run(node.createDecipheriv('aes-128-cbc', key, iv), ciphertext),
    }
  },
})

/** Out of Node's shared buffers, into an ArrayBuffer of its own. */
const own = (bytes: Uint8Array): Bytes => new Uint8Array(bytes)

const node = nodeModule<NodeCrypto>('node:crypto')

/** The faster ones of those that the runtime has. */
export const { sha256, hmacSha256, hkdfSha256, aesGcm, aesCbc }: Primitives = node
  ? atOnce(node)
  : web
