// Header, envelope, sealed response, digests and instructions, against the vectors that Python made.
import digests from '../../vectors/digest.json' with { type: 'json' }
import envelopes from '../../vectors/envelope.json' with { type: 'json' }
import headers from '../../vectors/header.json' with { type: 'json' }
import instructions from '../../vectors/instructions.json' with { type: 'json' }
import responses from '../../vectors/response.json' with { type: 'json' }
import { type Bytes, fromBase64url, fromHex, sha256Hex, toBase64url, utf8 } from '../bytes.ts'
import { openInstructions, parseEnvelope, parseHeader, unwrapInputKeys } from '../envelope.ts'
import { decryptToken } from '../fernet.ts'
import { readInstructions } from '../instructions.ts'
import { canonicalBytes } from '../json.ts'
import { readResponse, sessionSalt } from '../response.ts'
import { saltedDigest } from '../statement.ts'
import { ensure } from '../verify/checks.ts'
import { type Edit, edited, runVectors } from './run.ts'

runVectors<{ edits: Edit[] }>(headers, async ({ edits }) => {
  const bytes = canonicalBytes(edited<unknown>(headers.base, edits))
  await parseHeader(bytes)
  return { digest: await sha256Hex(bytes) }
})

const transport = crypto.subtle.importKey(
  'pkcs8',
  fromBase64url(envelopes.common.private_key),
  { name: 'RSA-OAEP', hash: 'SHA-256' },
  false,
  ['decrypt'],
)
runVectors<{ envelope: string }>(envelopes, async (given) => {
  const parsed = await parseEnvelope(utf8(given.envelope))
  const { envelope, header } = parsed
  ensure((await sha256Hex(utf8(envelope.input))) === header.input_digest, 'another input')
  const digest = await sha256Hex(utf8(envelope.instructions))
  ensure(digest === header.instructions_digest, 'other instructions')
  const secrets = await unwrapInputKeys(await transport, parsed)
  return {
    header,
    input: toBase64url(await decryptToken(secrets.inputKey, envelope.input)),
    instructions: await openInstructions(await transport, parsed),
    response_secret: toBase64url(secrets.responseSecret),
    tenant_secret: toBase64url(secrets.tenantSecret),
  }
})

const context = {
  responseSecret: fromBase64url(responses.common.response_secret),
  headerDigest: fromBase64url(responses.common.header_digest),
}
/** In pieces of 7 bytes, so that no frame comes whole. */
async function* pieces(bytes: Bytes): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7)
}
runVectors<{ answer: string }>(responses, async ({ answer }) => {
  const frames: [string, string][] = []
  for await (const { type, plaintext } of readResponse(context, pieces(fromBase64url(answer))))
    frames.push([type, toBase64url(plaintext)])
  return { frames }
})

type Digest = { response_secret: string; header_digest: string; content: string; stated: string }
runVectors<Digest>(digests, async (given) => {
  const salt = await sessionSalt({
    responseSecret: fromBase64url(given.response_secret),
    headerDigest: fromHex(given.header_digest),
  })
  const digest = await saltedDigest(salt, fromBase64url(given.content))
  ensure(digest === given.stated, 'another digest')
  return { salt: toBase64url(salt) }
})

const { audience, input_digest, nonce } = instructions.common.request
const authorities = new Map(
  instructions.common.authorities.map(({ id, public_key }) => [id, fromBase64url(public_key)]),
)
runVectors<{ text: string }>(instructions, ({ text }) =>
  readInstructions(text, { audience, inputDigest: input_digest, nonce }, authorities),
)
