// Envelopes as an attacker would make them: every part can be replaced, and what the rest of the envelope says about it
// is computed from the replacement, so that only the check under test stands in the way.
import type { Instruct } from '@sealed/client'
import {
  type Bytes,
  canonicalize,
  concat,
  type EnvelopeHeader,
  encryptToken,
  fromBase64url,
  importTransportKey,
  padInstructions,
  type ResponseContext,
  randomBytes,
  sha256,
  sha256Hex,
  toBase64url,
  utf8,
} from '@sealed/protocol'
import { CHAT, type World } from './instance.ts'

/** The five members of an envelope, flat. */
export interface Parts {
  header: string
  input: string
  instructions: string
  input_keys: string
  action_keys: string
}
export const PART_NAMES = ['header', 'input', 'instructions', 'input_keys', 'action_keys'] as const

export interface Recipe {
  nonce?: string
  content?: string
  /** Further members of the body. */
  extra?: Record<string, unknown>
  instructions?: Instruct | string
  issuedMs?: number
  /** Time inside the input's Fernet token. */
  tokenMs?: number
  /** Last word on the tokens, before they are digested. */
  inputToken?: (token: string) => string
  instructionsToken?: (actionKey: Bytes) => Promise<string>
  /** Last word on the header's members, and then on its text. */
  header?: (header: EnvelopeHeader) => Record<string, unknown>
  headerText?: (text: string) => string
  /** What is wrapped: the parts before the header's digest, and the digest. */
  inputPlain?: (parts: Bytes[], headerDigest: Bytes) => Bytes
  actionPlain?: (parts: Bytes[], headerDigest: Bytes) => Bytes
  /** Replaces the transport key that wraps; the header goes on naming the embassy's. */
  wrapWith?: CryptoKey
}

export interface Crafted {
  parts: Parts
  body: string
  nonce: string
  input: Bytes
  /** What opens the sealed answer. */
  context: ResponseContext
  headerText: string
}

export const newNonce = (): string => toBase64url(randomBytes(32))

/** An envelope in canonical form from its parts. */
export const assemble = ({ header, input, instructions, input_keys, action_keys }: Parts): string =>
  canonicalize({ header, input, instructions, keys: { action: action_keys, input: input_keys } })

/** Without a recipe: an envelope that is accepted. */
export async function craft(world: World, recipe: Recipe = {}): Promise<Crafted> {
  const { document, keySetDigest, transportKey } = world.attested
  const now = recipe.issuedMs ?? Date.now()
  const nonce = recipe.nonce ?? newNonce()
  const workload = document.configuration.workloads[0]!
  const [inputKey, responseSecret, tenantSecret, actionKey] = Array.from({ length: 4 }, () =>
    randomBytes(32),
  ) as [Bytes, Bytes, Bytes, Bytes]

  const input = world.body(recipe.content ?? 'crafted', recipe.extra)
  const made = await encryptToken(inputKey, input, { now: recipe.tokenMs ?? now })
  const token = recipe.inputToken?.(made) ?? made
  const inputDigest = await sha256Hex(utf8(token))
  const binding = { audience: transportKey.id, input_digest: inputDigest, nonce }
  const said = recipe.instructions ?? ''
  const text = typeof said === 'string' ? said : await said(binding)
  const instructions =
    (await recipe.instructionsToken?.(actionKey)) ??
    (await encryptToken(actionKey, padInstructions(text), { now }))

  const plainHeader: EnvelopeHeader = {
    endpoint: CHAT,
    expect: {
      key_set: keySetDigest,
      metering: document.configuration.metering,
      seal_policy: workload.seal_policy,
      workload: workload.digest,
    },
    input_digest: inputDigest,
    instructions_digest: await sha256Hex(utf8(instructions)),
    issued_ms: now,
    key_id: transportKey.id,
    nonce,
    stream: false,
    suite: 'rsa-oaep-256/fernet',
    version: 1,
    workload: workload.name,
  }
  const canonical = canonicalize(recipe.header?.(plainHeader) ?? plainHeader)
  const headerText = recipe.headerText?.(canonical) ?? canonical
  const headerBytes = utf8(headerText)
  const headerDigest = await sha256(headerBytes)
  const key = recipe.wrapWith ?? (await importTransportKey(fromBase64url(transportKey.spki))).key
  const joined = (plain: Bytes[], digest: Bytes) => concat(...plain, digest)
  const parts: Parts = {
    header: toBase64url(headerBytes),
    input: token,
    instructions,
    input_keys: await wrap(
      key,
      (recipe.inputPlain ?? joined)([inputKey, responseSecret, tenantSecret], headerDigest),
    ),
    action_keys: await wrap(key, (recipe.actionPlain ?? joined)([actionKey], headerDigest)),
  }
  const context = { responseSecret, headerDigest }
  return { parts, body: assemble(parts), nonce, input, context, headerText }
}

const wrap = async (key: CryptoKey, plain: Bytes): Promise<string> =>
  toBase64url(new Uint8Array(await crypto.subtle.encrypt('RSA-OAEP', key, plain)))

/** An RSA key that is not the embassy's. */
export async function foreignKey(hash = 'SHA-256'): Promise<CryptoKey> {
  const algorithm = {
    name: 'RSA-OAEP',
    hash,
    modulusLength: 3072,
    publicExponent: Uint8Array.of(1, 0, 1),
  }
  return (await crypto.subtle.generateKey(algorithm, true, ['encrypt', 'decrypt'])).publicKey
}
