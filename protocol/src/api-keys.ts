// The file that an operator's `sealed key` writes: who may call a gateway. It holds digests of keys and never a key, and
// is a file of its own because it changes while a gateway runs, which a deployment does not.
import * as v from 'valibot'
import { fromUtf8 } from './bytes.ts'
import { parseStrict } from './json.ts'
import { check, digest, integer, name } from './schema.ts'

export const apiKeySchema = v.strictObject({
  /** Requests under way at once; at most `limits.caller_sessions` of the deployment, which holds where this is absent. */
  concurrent_requests: v.exactOptional(integer(1, 65_536)),
  created_ms: integer(),
  /** SHA-256 of the key's text. */
  digest,
  /** Under which its holder appears in statements, logs and usage. */
  name,
  /** Requests in a minute; `limits.requests_per_minute` of the deployment where this is absent. */
  requests_per_minute: v.exactOptional(integer(1, 1_000_000)),
  /** From when on the key is refused. It stays in the file, so that nobody else gets its name. */
  revoked_ms: v.exactOptional(integer()),
})
export type ApiKeyEntry = v.InferOutput<typeof apiKeySchema>

const isUnique = (member: 'digest' | 'name') => (keys: ApiKeyEntry[]) =>
  new Set(keys.map((key) => key[member])).size === keys.length

export const apiKeysSchema = v.strictObject({
  keys: v.pipe(
    v.array(apiKeySchema),
    v.maxLength(4096),
    v.check(isUnique('name'), 'must not name two keys alike'),
    v.check(isUnique('digest'), 'must not hold one key twice'),
  ),
  version: v.literal(1),
})
export type ApiKeys = v.InferOutput<typeof apiKeysSchema>

/** Parses `keys.json`; throws `json.invalid` or `config.invalid` naming the member at fault. */
export const parseApiKeys = (bytes: Uint8Array): ApiKeys =>
  check(apiKeysSchema, parseStrict(fromUtf8(bytes)), 'keys.json', 'config.invalid')
