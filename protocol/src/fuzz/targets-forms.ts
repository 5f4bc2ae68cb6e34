// Parsers of what anyone may send or write: encodings, JSON, files, envelopes, answers. What they accept they must be
// able to write again in the same bytes, where the format has one spelling.
import { parseApiKeys } from '../api-keys.ts'
import { parseAttestationAnswer, parseAttestationDocument } from '../attestation.ts'
import {
  type Bytes,
  equal,
  fromBase64,
  fromBase64url,
  fromHex,
  fromUtf8,
  toBase64,
  toBase64url,
  toHex,
  utf8,
} from '../bytes.ts'
import { parseDeployment, parseWorkload } from '../config.ts'
import { importTransportKey, parseEnvelope, parseHeader } from '../envelope.ts'
import { checkGrammar } from '../grammar.ts'
import { canonicalBytes, canonicalize, parseCanonical, parseStrict } from '../json.ts'
import { launchSchema, splitReference } from '../launch.ts'
import { parseBase } from '../launch-files.ts'
import { parsePolicy } from '../policy.ts'
import { decodeReceipt, encodeReceipt, receiptSchema } from '../receipt.ts'
import { fromRpcError } from '../rpc.ts'
import { check } from '../schema.ts'
import { spliceReceipt, unspliceReceipt } from '../splice.ts'
import { parseSessionLeaf } from '../statement.ts'
import type { Target } from './run.ts'
import {
  document,
  documentBytes,
  policy,
  receipt,
  receiptBytes,
  request,
  response,
} from './samples.ts'

/** Fails the run: what was accepted does not come back as it was. */
function same(a: Uint8Array, b: Uint8Array, what: string): true {
  if (!equal(a, b)) throw new Error(`${what} does not come back as it was`)
  return true
}

const text = (value: unknown) => utf8(JSON.stringify(value))
const json = { shape: 'json' as const }

const workload = {
  activations: 'safetensors',
  egress: [{ address: '192.0.2.1', port: 443, protocol: 'tcp' }],
  endpoints: ['/v1/chat/completions'],
  env: [{ name: 'A', value: 'b' }],
  image: 'ab'.repeat(32),
  memory_bytes: 2 ** 30,
  models: ['demo'],
  name: 'demo',
  pids: 64,
  port: 8000,
  prefix_cache: 'off',
  seal_policy: 'request',
  version: 1,
  weights: [{ path: '/models', root_hash: 'ab'.repeat(32) }],
}
const deployment = {
  api_keys: '/etc/sealed/keys.json',
  authorities: [{ id: 'ab'.repeat(16), name: 'institute', public_key: 'A'.repeat(43) }],
  gateway: { host: '127.0.0.1', port: 8080, tls: { mode: 'off' } },
  id: '0a1b',
  metering: 'required',
  pause: { archive: 'pause.tar', image: 'ab'.repeat(32) },
  probes: { interval_ms: 60_000, targets: [] },
  runtime_dir: '/run/sealed/0a1b',
  state_dir: '/var/lib/sealed/0a1b',
  tpm: { chain: 'chain.pem', path: '/dev/tpmrm0' },
  version: 1,
  workloads: [{ archive: 'a.tar', file: 'workload.json', replicas: 1 }],
}
const base = {
  gateway: { host: '0.0.0.0', port: 8443 },
  id: '0a1b',
  pause: deployment.pause,
  probes: deployment.probes,
  registry_certs: '/etc/docker/certs.d',
  runtime_dir: deployment.runtime_dir,
  state_dir: deployment.state_dir,
  tpm: deployment.tpm,
  version: 1,
}
const launch = {
  attributes: [{ digest: 'ab'.repeat(32), name: 'sealed-image' }],
  image: {
    config: 'ab'.repeat(32),
    reference: `europe-docker.pkg.dev/p/models/demo_1.0--x@sha256:${'cd'.repeat(32)}`,
  },
  labels: [{ name: 'sealed.egress', value: 'none' }],
  version: 1,
  workload: 'ef'.repeat(32),
}
const keys = {
  keys: [
    { created_ms: 1_790_000_000_000, digest: 'cd'.repeat(32), name: 'laptop' },
    {
      concurrent_requests: 4,
      created_ms: 1_790_000_000_000,
      digest: 'ef'.repeat(32),
      name: 'site',
      requests_per_minute: 60,
      revoked_ms: 1_790_000_000_001,
    },
  ],
  version: 1,
}

const envelope = parseCanonical(request) as Record<string, string>
const header = fromBase64url(envelope.header!)
const challenge = { index: 0, path: ['00'.repeat(32)], quote: document.quote, size: 2 }
const spliced = spliceReceipt(response, encodeReceipt(receipt))!

export const formTargets: Target[] = [
  {
    name: 'canonical JSON',
    samples: [receiptBytes, documentBytes, request, header],
    ...json,
    accepts: (input) => same(canonicalBytes(parseCanonical(input)), input, 'canonical JSON'),
  },
  {
    name: 'strict JSON',
    samples: [
      text(workload),
      text(deployment),
      text(policy),
      utf8('{"a" :\t[ 1 ,\n-2, "\\u00e9" ] }'),
    ],
    ...json,
    accepts: (input) => {
      const value = parseStrict(fromUtf8(input))
      // What a strict parser takes, every parser takes, and reads the same.
      return same(
        utf8(canonicalize(value)),
        utf8(canonicalize(JSON.parse(fromUtf8(input)))),
        'a value',
      )
    },
  },
  {
    name: 'encodings',
    samples: ['', 'AA', 'AA==', 'AAA=', 'ab', '_-8', '+/8='].map(utf8),
    shape: 'bytes',
    accepts: (input) => {
      const string = fromUtf8(input)
      const codecs = [
        [fromHex, toHex],
        [fromBase64, toBase64],
        [fromBase64url, toBase64url],
      ] as const
      return codecs.map(([decode, encode]) => takes(decode, encode, string)).includes(true)
    },
  },
  {
    name: 'receipt',
    samples: [receiptBytes],
    ...json,
    accepts: (input) => {
      const decoded = decodeReceipt(toBase64url(input))
      same(fromBase64url(encodeReceipt(decoded)), input, 'a receipt')
      checkGrammar(decoded.leaf.statements)
      return true
    },
  },
  {
    name: 'receipt as text',
    samples: [utf8(encodeReceipt(receipt))],
    shape: 'bytes',
    accepts: (input) => {
      const string = fromUtf8(input)
      return same(utf8(encodeReceipt(decodeReceipt(string))), input, 'a receipt')
    },
  },
  {
    name: 'receipt as a value',
    samples: [receiptBytes],
    ...json,
    accepts: (input) => {
      const parsed = check(
        receiptSchema,
        parseStrict(fromUtf8(input)),
        'receipt',
        'receipt.invalid',
      )
      parseSessionLeaf(parsed.leaf)
      return true
    },
  },
  {
    name: 'attestation document',
    samples: [documentBytes],
    ...json,
    accepts: (input) => same(canonicalBytes(parseAttestationDocument(input)), input, 'a document'),
  },
  {
    name: 'attestation answer',
    samples: [canonicalBytes({ challenge, document }), canonicalBytes({ document })],
    ...json,
    accepts: (input) => same(canonicalBytes(parseAttestationAnswer(input)), input, 'an answer'),
  },
  {
    name: 'policy',
    samples: [text(policy), text({ ...policy, max_age_ms: 1 })],
    ...json,
    accepts: (input) => parsePolicy(fromUtf8(input)).version === 1,
  },
  {
    name: 'sealed.json',
    samples: [text(deployment)],
    ...json,
    accepts: (input) => parseDeployment(input).version === 1,
  },
  {
    name: 'base.json',
    samples: [text(base)],
    ...json,
    accepts: (input) => parseBase(input).version === 1,
  },
  {
    name: 'launch.json',
    samples: [canonicalBytes(launch)],
    ...json,
    accepts: (input) => {
      const record = check(launchSchema, parseCanonical(input), 'launch')
      const { manifest, registry, repository } = splitReference(record.image.reference)
      const whole = `${registry}/${repository}@sha256:${manifest}`
      return same(utf8(whole), utf8(record.image.reference), 'a reference')
    },
  },
  {
    name: 'workload.json',
    samples: [text(workload)],
    ...json,
    accepts: (input) => parseWorkload(input).version === 1,
  },
  {
    name: 'keys.json',
    samples: [text(keys), utf8(JSON.stringify(keys, null, 2))],
    ...json,
    accepts: (input) => parseApiKeys(input).version === 1,
  },
  {
    name: 'envelope',
    samples: [request],
    ...json,
    accepts: async (input) =>
      same(canonicalBytes((await parseEnvelope(input)).envelope), input, 'an envelope'),
  },
  {
    name: 'envelope header',
    samples: [header],
    ...json,
    accepts: async (input) =>
      same(canonicalBytes((await parseHeader(input)).header), input, 'a header'),
  },
  {
    name: 'transport key to wrap to',
    samples: [fromBase64url(document.transport_keys[0]!.spki)],
    shape: 'bytes',
    accepts: async (input) => (await importTransportKey(input)).id.length === 64,
  },
  {
    name: 'answer between processes',
    samples: [text({ error: { code: 'limit.caller', message: 'later', retry_after_ms: 5 } })],
    ...json,
    accepts: (input) => fromRpcError(parseStrict(fromUtf8(input))).code !== 'internal.error',
  },
  {
    name: 'splice',
    samples: [response, utf8('{"a":1}\n'), utf8('{"a":{"receipt":"x"}}')],
    ...json,
    accepts: (input) => {
      const out = spliceReceipt(input, 'AAAA')
      if (!out) return false
      const back = unspliceReceipt(out)
      if (back?.receipt !== 'AAAA') throw new Error('the receipt does not come back')
      return same(back.output, input, 'an answer')
    },
  },
  {
    name: 'unsplice',
    samples: [spliced, utf8('{"a":1,"receipt":"AAAA"}')],
    shape: 'bytes',
    accepts: (input) => {
      const found = unspliceReceipt(input)
      if (!found) return false
      const length = found.output.length + found.receipt.length + ',"receipt":""'.length
      if (length !== input.length) throw new Error('bytes were lost')
      return true
    },
  },
]

function takes(
  decode: (text: string) => Bytes,
  encode: (bytes: Bytes) => string,
  string: string,
): boolean {
  let bytes: Bytes
  try {
    bytes = decode(string)
  } catch {
    return false
  }
  if (encode(bytes) !== string) throw new Error(`${encode.name} has another spelling of ${string}`)
  return true
}
