// What an ACME server checks of a signed request (RFC 8555, section 6) before it looks at what is asked.
import { createHash, createHmac, createPublicKey, type JsonWebKey, verify } from 'node:crypto'

export interface Problem {
  status: number
  /** Last part of its URN. */
  type: string
  detail: string
  retryAfter?: string
}
export const problem = (status: number, type: string, detail: string, retryAfter?: string) =>
  ({ status, type, detail, ...(retryAfter !== undefined && { retryAfter }) }) satisfies Problem

export interface Signed {
  jwk: JsonWebKey
  kid: string | undefined
  /** Undefined for POST-as-GET. */
  payload: Record<string, unknown> | undefined
}

const json = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString())

/** Throws a `Problem`. `keyOf` is the account's, by its URL; `useNonce` tells whether a nonce was given out and not used. */
export function openJws(
  text: string,
  url: string,
  keyOf: (kid: string) => JsonWebKey | undefined,
  useNonce: (nonce: unknown) => boolean,
): Signed {
  const body = JSON.parse(text)
  const header = json(body.protected)
  if (header.alg !== 'ES256') throw problem(400, 'badSignatureAlgorithm', header.alg)
  if (header.url !== url) throw problem(401, 'unauthorized', `signed for ${header.url}`)
  if ((header.jwk === undefined) === (header.kid === undefined))
    throw problem(400, 'malformed', 'one of jwk and kid')
  const jwk = header.jwk ?? keyOf(header.kid)
  if (!jwk) throw problem(400, 'accountDoesNotExist', header.kid)
  const key = {
    key: createPublicKey({ key: jwk, format: 'jwk' }),
    dsaEncoding: 'ieee-p1363',
  } as const
  const signed = Buffer.from(`${body.protected}.${body.payload}`)
  if (!verify('sha256', signed, key, Buffer.from(body.signature, 'base64url')))
    throw problem(400, 'malformed', 'the signature does not verify')
  if (!useNonce(header.nonce)) throw problem(400, 'badNonce', 'not a nonce of mine')
  return { jwk, kid: header.kid, payload: body.payload === '' ? undefined : json(body.payload) }
}

/** RFC 8555, section 7.3.4: the account's key, authenticated by whoever the server knows already. */
export function checkBinding(
  binding: { protected: string; payload: string; signature: string } | undefined,
  known: { keyId: string; hmacKey: string },
  jwk: JsonWebKey,
  url: string,
): void {
  if (!binding) throw problem(403, 'externalAccountRequired', 'who are you')
  const header = json(binding.protected)
  const mac = createHmac('sha256', Buffer.from(known.hmacKey, 'base64url'))
    .update(`${binding.protected}.${binding.payload}`)
    .digest('base64url')
  const isWhole =
    header.alg === 'HS256' &&
    header.kid === known.keyId &&
    header.url === url &&
    header.nonce === undefined
  if (
    !isWhole ||
    mac !== binding.signature ||
    thumbprint(json(binding.payload)) !== thumbprint(jwk)
  )
    throw problem(403, 'unauthorized', 'the external account is not yours')
}

/** RFC 7638. */
export const thumbprint = ({ crv, kty, x, y }: JsonWebKey): string =>
  createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
