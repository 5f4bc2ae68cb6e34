// The building blocks of every schema: strict objects, so that an unknown member is refused, and the few value
// forms that our formats allow.
import * as v from 'valibot'
import { fromBase64url } from './bytes.ts'
import { type Code, SealedError } from './errors.ts'

const isBase64url = (text: string) => {
  try {
    fromBase64url(text)
    return true
  } catch {
    return false
  }
}

/** Lower-case hex of exactly `bytes` bytes. */
export const hex = (bytes: number) =>
  v.pipe(
    v.string(),
    v.regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`), `must be ${bytes} bytes of lower-case hex`),
  )
export const digest = hex(32)
/** Canonical base64url of at most `max` bytes. */
export const base64url = (max: number) =>
  v.pipe(
    v.string(),
    v.maxLength(Math.ceil((max * 4) / 3), `must encode at most ${max} bytes`),
    v.check(isBase64url, 'must be canonical base64url without padding'),
  )
export const integer = (min = 0, max = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.safeInteger('must be a safe integer'), v.minValue(min), v.maxValue(max))
/** A 64-bit number, written as a decimal string. */
export const decimal = v.pipe(
  v.string(),
  v.regex(/^(?:0|[1-9][0-9]{0,19})$/, 'must be a decimal string'),
)
export const text = (max: number) => v.pipe(v.string(), v.maxLength(max))
/** A name that may stand in paths, labels and log lines. */
export const name = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'must be a name [a-z0-9][a-z0-9._-]*'),
)

/** What a workload's models are called by who asks for them, as OpenAI's `model`. */
export const models = v.pipe(v.array(text(128)), v.minLength(1), v.maxLength(16))

/** A capability, wherever it stands beside those of others: whose it is, and its name. */
export const capability = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{32}\/[a-z0-9][a-z0-9._-]{0,63}$/, 'must be <authority id>/<name>'),
)

const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])'
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`)
const isDestination = (text: string) => {
  const [address, bits = '0', ...more] = text.split('/') as [string, ...string[]]
  const isV6 = address.includes(':') && URL.canParse(`http://[${address}]`)
  if (more.length > 0 || !(isV6 || IPV4.test(address))) return false
  return /^(?:0|[1-9][0-9]*)$/.test(bits) && Number(bits) <= (isV6 ? 128 : 32)
}
/** An IP address or a CIDR block; never a name, for which a firewall would ask the network. */
export const destination = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f:.]{2,45}(?:\/\d{1,3})?$/, 'must be an IP address or CIDR block'),
  v.check(isDestination, 'must be an IP address or CIDR block'),
)

/** Checks a value; throws `code` naming the member at fault and what is allowed there. */
export function check<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  what: string,
  code: Code = 'schema.invalid',
): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true })
  if (result.success) return result.output
  const issue = result.issues[0]
  const path = v.getDotPath(issue)
  throw new SealedError(
    code,
    `${what}${path ? `.${path}` : ''}: ${issue.message}`,
    path ? { param: path } : {},
  )
}
