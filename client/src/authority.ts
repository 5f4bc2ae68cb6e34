// Authority keys: Ed25519, kept as a JWK (RFC 8037), used to sign instructions. The private part leaves this file only
// as the text that is written to the authority's own key file.
import {
  type Action,
  authorityId,
  canonicalize,
  fromBase64url,
  type Json,
  parseStrict,
  SealedError,
  signInstructions,
  utf8,
} from '@sealed/protocol'

export interface Authority {
  id: string
  sign: (bytes: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>
}

/** What goes into `authorities` of sealed.json, name aside. */
export interface AuthorityEntry {
  id: string
  public_key: string
}

/** Makes a key pair: the key file's text, and the entry that a deployment lists. */
export async function createAuthority(): Promise<{ jwk: string; entry: AuthorityEntry }> {
  const pair = (await crypto.subtle.generateKey('Ed25519', true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  const { d, x } = await crypto.subtle.exportKey('jwk', pair.privateKey)
  const entry = { id: await authorityId(fromBase64url(x!)), public_key: x! }
  return { jwk: `${canonicalize({ crv: 'Ed25519', d, kid: entry.id, kty: 'OKP', x })}\n`, entry }
}

const bad = (message: string, cause?: unknown) =>
  new SealedError('config.invalid', `authority key: ${message}`, { cause })

/** Reads the text of a key file; throws `config.invalid` when it is no Ed25519 private key or is damaged. */
export async function parseAuthority(text: string): Promise<Authority & { entry: AuthorityEntry }> {
  let jwk: Json
  try {
    jwk = parseStrict(text)
  } catch (cause) {
    throw bad('the file is not JSON', cause)
  }
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) throw bad('not a JWK')
  const { crv, d, kid, kty, x } = jwk
  if (kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string' || typeof d !== 'string')
    throw bad('not an Ed25519 private key (JWK with kty OKP, crv Ed25519, x and d)')
  const id = await authorityId(publicBytes(x))
  if (kid !== undefined && kid !== id) throw bad('kid is not the id of this key')
  const sign = await signer(d, x)
  return { id, sign, entry: { id, public_key: x } }
}

function publicBytes(x: string) {
  try {
    const bytes = fromBase64url(x)
    if (bytes.length === 32) return bytes
  } catch {}
  throw bad('x is not 32 bytes of base64url')
}

/** Refuses a private part that does not belong to the public one: its signatures would only fail at the embassy. */
async function signer(d: string, x: string): Promise<Authority['sign']> {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x }
  const probe = utf8('sealed/authority/v1')
  try {
    const key = await crypto.subtle.importKey('jwk', { ...jwk, d }, 'Ed25519', false, ['sign'])
    const open = await crypto.subtle.importKey('jwk', jwk, 'Ed25519', false, ['verify'])
    const sign: Authority['sign'] = async (bytes) =>
      new Uint8Array(await crypto.subtle.sign('Ed25519', key, bytes))
    const signature = (await sign(probe)) as Uint8Array<ArrayBuffer>
    if (await crypto.subtle.verify('Ed25519', open, signature, probe)) return sign
  } catch {}
  throw bad('private and public part do not belong together')
}

/** What instructions are bound to: one transport key, one input, one request. */
export interface Binding {
  audience: string
  input_digest: string
  nonce: string
}
/** Writes the instructions for one envelope; called anew for each, because they are used once. */
export type Instruct = (binding: Binding) => Promise<string>

/** Instructions signed by an authority. */
export const instruct =
  (authority: Authority, action: Action): Instruct =>
  (binding) =>
    signInstructions({ action, ...binding }, authority)

/** Unsigned instructions: they can only ask for `update`. */
export const instructUpdate: Instruct = async (binding) =>
  canonicalize({ action: { type: 'update' }, ...binding })
