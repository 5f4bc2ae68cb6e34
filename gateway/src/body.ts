// Reads a request's body up to a bound: refused by its declared length before a byte is read, and by what really came
// however it was declared. Nothing beyond the bound is kept.
import { type Bytes, type Code, concat, SealedError } from '@sealed/protocol'
import type { Context } from 'hono'
import type { AppEnv, Deps } from './deps.ts'
import { Refusal } from './errors.ts'

/** Throws `code` (413) above `max` bytes, `request.invalid` when the body breaks off. */
export async function readBody(
  c: Context<AppEnv>,
  deps: Pick<Deps, 'bodyOf'>,
  max: number,
  code: Code,
): Promise<Bytes> {
  const tooLarge = () =>
    new Refusal(code, 413, `the body is larger than ${max} bytes`, {
      headers: { connection: 'close' },
    })
  const declared = c.req.header('content-length')
  if (declared !== undefined && !/^\d{1,15}$/.test(declared))
    throw new SealedError('request.invalid', 'Content-Length is not a number of bytes', {
      param: 'content-length',
    })
  if (declared !== undefined && Number(declared) > max) throw tooLarge()
  const parts: Uint8Array[] = []
  let length = 0
  try {
    for await (const part of (deps.bodyOf ?? webBody)(c) ?? []) {
      length += part.length
      c.set('bodyBytes', length)
      if (length > max) throw tooLarge()
      parts.push(part)
    }
  } catch (cause) {
    if (cause instanceof SealedError) throw cause
    throw new SealedError('request.invalid', 'the body broke off before its end', { cause })
  }
  if (declared !== undefined && length !== Number(declared))
    throw new SealedError('request.invalid', `Content-Length says ${declared}, ${length} came`, {
      param: 'content-length',
    })
  return concat(...parts)
}

const webBody = (c: Context): AsyncIterable<Uint8Array> | null => c.req.raw.body

/** Refuses another media type, or an encoded body, with 415 `request.unsupported`. Parameters are ignored. */
export function requireType(c: Context, type: string): void {
  const given = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (given !== type)
    throw new Refusal('request.unsupported', 415, `send this with Content-Type: ${type}`, {
      param: 'content-type',
      headers: { 'accept-post': type },
    })
  if ((c.req.header('content-encoding') ?? 'identity').toLowerCase() !== 'identity')
    throw new Refusal('request.unsupported', 415, 'send the body without Content-Encoding', {
      param: 'content-encoding',
    })
}
