// A workload that takes part itself, as a worked example: it gets the input as a Fernet token, asks the embassy for the
// key, and commits to its output before it ends it. What it is asked by is in the request's headers (README.md,
// "Cooperative workloads"); a request without them is an ordinary one.
import { createDecipheriv, createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'

const HEADER = 9
const IV = 16
const MAC = 32

/** The plaintext of a request's body, and from then on a commitment to what is answered. */
export async function takePart(
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
): Promise<Buffer> {
  const embassy = request.headers['sealed-embassy']
  if (typeof embassy !== 'string') return body
  commitBeforeEnd(response, (outputSha256) =>
    ask(`${embassy}/unseal`, { output_sha256: outputSha256 }),
  )
  const { key } = (await (await ask(`${embassy}/reveal`)).json()) as { key: string }
  return decrypt(Buffer.from(key, 'base64url'), body.toString('latin1'))
}

async function ask(url: string, body?: object): Promise<Response> {
  const response = await fetch(url, {
    method: 'POST',
    ...(body && { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`the embassy refused: ${await response.text()}`)
  return response
}

/** Counts in all that is written; the end of the answer waits for the embassy to have its digest. */
function commitBeforeEnd(
  response: ServerResponse,
  commit: (outputSha256: string) => Promise<unknown>,
): void {
  const hash = createHash('sha256')
  const write = response.write.bind(response) as (chunk: string | Buffer) => boolean
  const end = response.end.bind(response) as (chunk?: string | Buffer) => ServerResponse
  response.write = ((chunk: string | Buffer) => {
    hash.update(chunk)
    return write(chunk)
  }) as typeof response.write
  response.end = ((chunk?: string | Buffer) => {
    if (chunk !== undefined) hash.update(chunk)
    commit(hash.digest('hex')).then(
      () => end(chunk),
      () => response.destroy(),
    )
    return response
  }) as typeof response.end
}

/** Fernet, version 0x80: time, IV, AES-128-CBC, HMAC-SHA256 over all before it. */
export function decrypt(key: Buffer, token: string): Buffer {
  const bytes = Buffer.from(token, 'base64url')
  const signed = bytes.subarray(0, -MAC)
  const mac = createHmac('sha256', key.subarray(0, 16)).update(signed).digest()
  if (bytes.length < HEADER + IV + MAC || bytes[0] !== 0x80) throw new Error('this is no token')
  if (!timingSafeEqual(mac, bytes.subarray(-MAC))) throw new Error('the token was altered')
  const decipher = createDecipheriv(
    'aes-128-cbc',
    key.subarray(16),
    signed.subarray(HEADER, HEADER + IV),
  )
  return Buffer.concat([decipher.update(signed.subarray(HEADER + IV)), decipher.final()])
}
