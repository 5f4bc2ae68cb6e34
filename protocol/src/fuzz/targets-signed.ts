// Whatever carries a signature, a MAC or a digest: nothing changed is ever accepted. What is compared is what the
// signature speaks for; members that nobody signs say nothing, and no check reads them.
import type { AttestationDocument } from '../attestation.ts'
import { parseAttestationDocument } from '../attestation.ts'
import { type Bytes, concat, equal, fromBase64url, fromUtf8, toBase64url, utf8 } from '../bytes.ts'
import { openCheckpoint } from '../checkpoint.ts'
import { type Envelope, parseEnvelope } from '../envelope.ts'
import { decryptToken, encryptToken } from '../fernet.ts'
import { readInstructions, signInstructions } from '../instructions.ts'
import { canonicalBytes, canonicalize, parseCanonical } from '../json.ts'
import { type TransportKeyRecord, transportKeyIsSigned, transportKeySchema } from '../key-set.ts'
import { importAttestationKey, verifyAttestSignature } from '../quote.ts'
import { ResponseWriter, readResponse } from '../response.ts'
import { check } from '../schema.ts'
import { KnownDocument } from '../verify/known-document.ts'
import { verifyDocument, verifyReceipt } from '../verify/verify-receipt.ts'
import type { Target } from './run.ts'
import {
  document,
  documentBytes,
  fixed,
  NOW,
  policy,
  receipt,
  receiptBytes,
  request,
  response,
  salt,
  signer,
} from './samples.ts'

const bytesOf =
  (...samples: Bytes[]) =>
  (input: Bytes) =>
    samples.some((s) => equal(s, input))
const known = new KnownDocument(document, policy)
const passed = (verdict: Awaited<ReturnType<typeof verifyReceipt>>, id: string) =>
  verdict.checks.some((entry) => entry.id === id && entry.result === 'pass')

/** What of a document is measured, quoted or signed; the time of its start and a choice among its keys are not. */
function meaningOf(input: Bytes): string {
  const { ak, configuration, key_set, pcrs, quote } = parseAttestationDocument(input)
  const values = pcrs.toSorted((a, b) => a.index - b.index)
  return canonicalize({ ...ak, configuration, key_set, quote: quote ?? null, values })
}
const keysOf = ({ transport_keys }: AttestationDocument) =>
  transport_keys.map((key) => canonicalize(key))
const signedKeys = keysOf(document)

/** The receipt's header and tokens; the wrapped keys name the header, not the other way round. */
const tokensOf = ({ header, input, instructions }: Envelope) =>
  canonicalize({ header, input, instructions })

const FERNET_KEY = fixed(7)
const CONTEXT = { responseSecret: fixed(1), headerDigest: fixed(2) }
const attest = fromBase64url(document.quote.attest)
const signature = fromBase64url(document.quote.signature)

export async function signedTargets(): Promise<Target[]> {
  const ak = await importAttestationKey(fromBase64url(document.ak.public))
  const ledgerKey = fromBase64url(document.key_set.ledger_key)
  const token = utf8(await encryptToken(FERNET_KEY, response, { now: NOW, iv: fixed(3, 16) }))
  const sentTokens = tokensOf((await parseEnvelope(request)).envelope)
  const answer = await sealedAnswer()
  const { jws, asked, authorities } = await instructions()
  const [record] = document.transport_keys as [TransportKeyRecord]
  return [
    {
      name: 'verified receipt',
      samples: [receiptBytes],
      shape: 'json',
      accepts: async (input) =>
        (await known.verify({ receipt: toBase64url(input) }, NOW)).outcome === 'verified',
      signed: bytesOf(receiptBytes),
      percent: 20,
    },
    {
      name: 'verified document',
      samples: [documentBytes],
      shape: 'json',
      accepts: async (input) => {
        const parsed = parseAttestationDocument(input)
        return (await verifyDocument({ document: parsed }, policy, NOW)).outcome === 'verified'
      },
      signed: (input) =>
        meaningOf(input) === meaningOf(documentBytes) &&
        keysOf(parseAttestationDocument(input)).every((key) => signedKeys.includes(key)),
      percent: 10,
    },
    {
      name: 'document beside its receipt',
      samples: [documentBytes],
      shape: 'json',
      accepts: async (input) => {
        const given = {
          document: parseAttestationDocument(input),
          receipt: toBase64url(receiptBytes),
        }
        return (await verifyReceipt(given, policy, NOW)).outcome === 'verified'
      },
      signed: bytesOf(documentBytes),
      percent: 10,
    },
    {
      name: 'request beside its receipt',
      samples: [request],
      shape: 'json',
      accepts: async (input) =>
        passed(
          await known.verify({ receipt: toBase64url(receiptBytes), request: input }, NOW),
          'receipt.request',
        ),
      signed: (input) => tokensOf(parseCanonical(input) as unknown as Envelope) === sentTokens,
      percent: 10,
    },
    {
      name: 'output beside its receipt',
      samples: [response],
      shape: 'bytes',
      accepts: async (input) =>
        passed(
          await known.verify({ receipt: toBase64url(receiptBytes), output: input, salt }, NOW),
          'receipt.output',
        ),
      signed: bytesOf(response),
      percent: 10,
    },
    {
      name: 'quote under its signature',
      samples: [attest],
      shape: 'bytes',
      accepts: (input) => verifyAttestSignature(ak, input, signature),
      signed: bytesOf(attest),
    },
    {
      name: 'signature of a quote',
      samples: [signature],
      shape: 'bytes',
      accepts: (input) => verifyAttestSignature(ak, attest, input),
      signed: bytesOf(signature),
    },
    {
      name: 'checkpoint under its signature',
      samples: [utf8(receipt.checkpoint)],
      shape: 'lines',
      accepts: async (input) => (await openCheckpoint(fromUtf8(input), ledgerKey)).body !== '',
      signed: bytesOf(utf8(receipt.checkpoint)),
    },
    {
      name: 'transport key',
      samples: [canonicalBytes(record)],
      shape: 'json',
      accepts: (input) =>
        transportKeyIsSigned(
          check(transportKeySchema, parseCanonical(input), 'transport key'),
          document.key_set,
        ),
      signed: bytesOf(canonicalBytes(record)),
    },
    {
      name: 'Fernet token',
      samples: [token],
      shape: 'bytes',
      accepts: async (input) => (await decryptToken(FERNET_KEY, fromUtf8(input))).length > 0,
      signed: bytesOf(token),
    },
    {
      name: 'sealed answer',
      samples: [answer],
      shape: 'bytes',
      accepts: async (input) => {
        let length = 0
        for await (const { plaintext } of readResponse(CONTEXT, pieces(input)))
          length += plaintext.length
        return length > 0
      },
      signed: bytesOf(answer),
    },
    {
      name: 'signed instructions',
      samples: [jws],
      shape: 'bytes',
      accepts: async (input) =>
        (await readInstructions(fromUtf8(input), asked, authorities)).authority !== undefined,
      signed: bytesOf(jws),
    },
  ]
}

/** In pieces of odd sizes, as a network hands it on. */
async function* pieces(bytes: Bytes): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7) % 4093)
    yield bytes.subarray(at, at + size)
}

async function sealedAnswer(): Promise<Bytes> {
  const writer = new ResponseWriter(CONTEXT, fixed(4))
  const parts: Bytes[] = [writer.serverRandom]
  const frames = [
    ['beat', ''],
    ['head', '{"content_type":"application/json","status":200}'],
    ['data', 'one'],
    ['data', ''],
    ['final', '{}'],
  ] as const
  for (const [type, content] of frames) parts.push(await writer.frame(type, utf8(content)))
  return concat(...parts)
}

async function instructions() {
  const { publicKey, sign } = await signer(5)
  const id = 'ab'.repeat(16)
  const asked = {
    audience: 'cd'.repeat(32),
    inputDigest: 'ef'.repeat(32),
    nonce: toBase64url(fixed(6)),
  }
  const { audience, inputDigest: input_digest, nonce } = asked
  const action = { type: 'write', capability: 'c', polarity: 'positive' } as const
  const jws = utf8(await signInstructions({ action, audience, input_digest, nonce }, { id, sign }))
  return { jws, asked, authorities: new Map([[id, publicKey]]) }
}
