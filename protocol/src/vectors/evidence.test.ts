// Keys, quotes, measurements, event logs, policies and proofs, against the vectors that Python made.
import attestationKeys from '../../vectors/attestation_key.json' with { type: 'json' }
import eventLogs from '../../vectors/event_log.json' with { type: 'json' }
import keySets from '../../vectors/key_set.json' with { type: 'json' }
import launches from '../../vectors/launch.json' with { type: 'json' }
import measurements from '../../vectors/measurement.json' with { type: 'json' }
import policies from '../../vectors/policy.json' with { type: 'json' }
import quotes from '../../vectors/quote.json' with { type: 'json' }
import reports from '../../vectors/report_data.json' with { type: 'json' }
import proofs from '../../vectors/tlog_proof.json' with { type: 'json' }
import transportKeys from '../../vectors/transport_key.json' with { type: 'json' }
import { configurationSchema } from '../attestation.ts'
import { concat, fromBase64url, fromHex, sha256, toHex } from '../bytes.ts'
import { parseEventLog, replayEventLog } from '../event-log.ts'
import { canonicalBytes, canonicalize } from '../json.ts'
import {
  CONFIGURATION_PCR,
  KEY_SET_PCR,
  keySetDigest,
  keySetSchema,
  type QuotePurpose,
  transportKeyIsSigned,
  transportKeySchema,
} from '../key-set.ts'
import { isLaunchValue, launchMeasurements, launchSchema } from '../launch.ts'
import { parsePolicy } from '../policy.ts'
import { extendedOnce, importAttestationKey, parseAttest } from '../quote.ts'
import { check } from '../schema.ts'
import { reportData } from '../tee/report-data.ts'
import { parseTlogProof } from '../tlog-proof.ts'
import { ensure } from '../verify/checks.ts'
import { bootApplications } from '../verify/event-log-checks.ts'
import { quoteBound, quoteSelection, quoteSignature } from '../verify/quote-checks.ts'
import { type Edit, edited, runVectors } from './run.ts'

type Edited = { edits: Edit[] }

runVectors<Edited>(keySets, async ({ edits }) => {
  const keySet = check(keySetSchema, edited<unknown>(keySets.base, edits), 'key set')
  return { k: toHex(await keySetDigest(keySet)) }
})

runVectors<Edited>(transportKeys, async ({ edits }) => {
  const record = check(transportKeySchema, edited<unknown>(transportKeys.base, edits), 'record')
  const keySet = check(keySetSchema, transportKeys.common.key_set, 'key set')
  ensure(await transportKeyIsSigned(record, keySet), 'not signed by the ledger key')
})

runVectors<{ public: string }>(attestationKeys, async (given) => ({
  name: toHex((await importAttestationKey(fromBase64url(given.public))).name),
}))

type Quote = { key: 'rsa' | 'ec'; attest: string; signature: string; purpose: string; x: string }
const { k, keys, pcrs } = quotes.common
const values = new Map(Object.entries(pcrs).map(([index, hex]) => [Number(index), fromHex(hex)]))
runVectors<Quote>(quotes, async ({ key, purpose, x, ...quote }) => {
  await quoteSignature(quote, await importAttestationKey(fromBase64url(keys[key])))
  await quoteSelection(quote, values)
  await quoteBound(quote, purpose as QuotePurpose, fromHex(k), fromHex(x))
  const { resetCount, restartCount } = parseAttest(fromBase64url(quote.attest))
  return { reset: resetCount, restart: restartCount }
})

type Measurement = { of: 'key_set' | 'configuration'; value: unknown; stated: string }
runVectors<Measurement>(measurements, async ({ of, value, stated }) => {
  const schema = of === 'key_set' ? keySetSchema : configurationSchema
  const digest = await sha256(canonicalBytes(check(schema, value, of)))
  ensure(toHex(await extendedOnce(digest)) === stated, 'another value')
  return { digest: toHex(digest), pcr: of === 'key_set' ? KEY_SET_PCR : CONFIGURATION_PCR }
})

runVectors<{ value: unknown; stated: string }>(launches, async ({ value, stated }) => {
  const record = check(launchSchema, value, 'launch')
  ensure(await isLaunchValue(fromHex(stated), record), 'another value')
  return { digest: toHex((await launchMeasurements(record))[0]) }
})

runVectors<{ log: string; zeros?: number }>(eventLogs, async ({ zeros = 0, ...given }) => {
  const log = await parseEventLog(concat(fromBase64url(given.log), new Uint8Array(zeros)))
  const replayed = await replayEventLog(log)
  const hex = [...replayed].map(([pcr, value]) => [pcr, toHex(value)])
  return { applications: bootApplications(log), pcrs: Object.fromEntries(hex) }
})

runVectors<Edited>(policies, ({ edits }) => {
  parsePolicy(canonicalize(edited<unknown>(policies.base, edits)))
})

runVectors<{ ak_public: string; k: string; stated: string }>(reports, async (given) => {
  const data = await reportData(fromBase64url(given.ak_public), fromHex(given.k))
  ensure(toHex(data) === given.stated, 'another')
})

runVectors<{ proof: string }>(proofs, ({ proof }) => {
  const { index, path, checkpoint } = parseTlogProof(proof)
  return { index, path: path.map(toHex), checkpoint }
})
