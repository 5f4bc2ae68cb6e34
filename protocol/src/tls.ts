// How the gateway's TLS certificate comes about: part of `sealed.json`. Whatever its issuer, what clients pin is the
// SPKI in the attested key set.
import * as v from 'valibot'
import { text } from './schema.ts'

const path = v.pipe(text(4096), v.minLength(1))

/** A DNS name as certificates hold it: lower case, no wildcard, no address. */
const hostName = v.pipe(
  text(253),
  v.regex(
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*(?=[a-z0-9-]*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    'must be a DNS name in lower case, without wildcard',
  ),
)

const isDirectory = (text: string) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === 'https:' && !(url.hash || url.username || url.password)
}

/** A certificate from an ACME server (RFC 8555), proved by tls-alpn-01 (RFC 8737) at the gateway's own port. */
const acmeSchema = v.strictObject({
  mode: v.literal('acme'),
  /** Whom the server writes to about the account; may be empty. */
  contact: v.pipe(
    v.array(v.pipe(text(256), v.regex(/^mailto:[^\s,?]+@[^\s,?]+$/))),
    v.maxLength(4),
  ),
  directory: v.pipe(text(512), v.check(isDirectory, 'must be an https URL')),
  /** For servers that want to know whose account it is. */
  external_account: v.exactOptional(
    v.strictObject({
      /** File with the MAC key as the server gave it, base64url. */
      key: path,
      key_id: v.pipe(text(256), v.minLength(1)),
    }),
  ),
  names: v.pipe(
    v.array(hostName),
    v.minLength(1),
    v.maxLength(32),
    v.check((names) => new Set(names).size === names.length, 'must not name one twice'),
  ),
  /** PEM file with the roots of a private server, which are then the only ones trusted for it. */
  roots: v.exactOptional(path),
  /** Says that the operator agrees to the server's terms of service. */
  terms_agreed: v.literal(true),
})
export type AcmeSettings = v.InferOutput<typeof acmeSchema>

export const tlsSchema = v.variant('mode', [
  v.strictObject({ mode: v.literal('off') }),
  v.strictObject({ mode: v.literal('embassy'), names: v.pipe(v.array(text(253)), v.minLength(1)) }),
  acmeSchema,
  v.strictObject({ mode: v.literal('files'), certificate: path, key: path }),
])
