// Sealed keys as LUKS2 tokens: JSON in the header, which anybody may read and change. Nothing in them is secret, and
// what was changed no longer opens.
import { fromHex, SealedError, toHex } from '@sealed/protocol'
import { MOST_SECURITY_VERSIONS } from './policy.ts'
import type { SealedKey } from './sealed-key.ts'

export const TOKEN_TYPE = 'sealed-tpm2'

const MEMBERS = [
  'counter_limit',
  'keyslots',
  'parent',
  'private',
  'public',
  'security_version',
  'type',
  'version',
]
/** No TPM makes larger ones of a 32-byte secret. */
const LONGEST = 1024

export const writeToken = (key: SealedKey): string =>
  JSON.stringify({
    type: TOKEN_TYPE,
    keyslots: ['0'],
    version: '1',
    security_version: String(key.securityVersion),
    counter_limit: String(key.limit),
    parent: toHex(key.parent),
    public: toHex(key.blob.public),
    private: toHex(key.blob.private),
  })

/** @throws SealedError `state.disk` naming the token and the member at fault */
export function readToken(token: Record<string, unknown>, id: string): SealedKey {
  const bad = (what: string) => new SealedError('state.disk', `token ${id} of the disk: ${what}`)
  const names = Object.keys(token).sort()
  if (JSON.stringify(names) !== JSON.stringify(MEMBERS))
    throw bad(`has the members ${names.join(', ')}, and must have ${MEMBERS.join(', ')}`)
  const text = (name: string, form: RegExp) => {
    const value = token[name]
    if (typeof value !== 'string' || !form.test(value)) throw bad(`${name} is malformed`)
    return value
  }
  const bytes = (name: string, least: number, most: number) => {
    const value = text(name, /^(?:[0-9a-f]{2})+$/)
    if (value.length < 2 * least || value.length > 2 * most)
      throw bad(`${name} has no fitting size`)
    return fromHex(value)
  }
  if (token.type !== TOKEN_TYPE || token.version !== '1') throw bad('is of a kind that is not ours')
  if (JSON.stringify(token.keyslots) !== '["0"]') throw bad('belongs to another key slot')
  const securityVersion = Number(text('security_version', /^[1-9][0-9]?$/))
  if (securityVersion > MOST_SECURITY_VERSIONS) throw bad('security_version is malformed')
  return {
    securityVersion,
    limit: BigInt(text('counter_limit', /^(?:0|[1-9][0-9]{0,17})$/)),
    parent: bytes('parent', 34, 34),
    blob: { public: bytes('public', 48, LONGEST), private: bytes('private', 1, LONGEST) },
  }
}
