// GCE's metadata server: what the operator gave this instance, and a token of its service account. Whoever answers is
// believed no more than an operator is: what comes from here is measured. The token is never logged.
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { check, fromUtf8, parseStrict, SealedError, text } from '@sealed/protocol'
import { request } from 'undici'
import * as v from 'valibot'
import type { Log } from '../log.ts'

/** GCE takes 512 KiB of attributes an instance. */
const MAX_BYTES = 1024 * 1024
const ATTRIBUTES = 'instance/attributes/?recursive=true&alt=json'
const TOKEN = 'instance/service-accounts/default/token'
/** Read by the operator with `gcloud compute instances get-guest-attributes`. */
const OUTCOME = 'instance/guest-attributes/sealed/launch'
/** GCE may add members; these are what is taken. */
const tokenSchema = v.object({
  access_token: v.pipe(text(16_384), v.minLength(1)),
  token_type: v.literal('Bearer'),
})

export interface MetadataOptions {
  /** `http://169.254.169.254`. */
  url: string
  log: Log
  /** How long it is asked again while the network comes up. */
  deadlineMs?: number
  attemptMs?: number
  pauseMs?: number
}

export interface Metadata {
  /** The instance's attributes as they came: a JSON object. */
  attributes(): Promise<string>
  /** An access token of the instance's default service account. */
  token(): Promise<string>
  /** Tells the operator how the launch went; where the instance has no guest attributes, nobody. Never fails. */
  report(outcome: string): Promise<void>
}

/** Calls throw `launch.unavailable` where nobody answers in time, `config.invalid` where the answer is not GCE's. */
export function openMetadata(options: MetadataOptions): Metadata {
  return {
    attributes: () => ask(options, ATTRIBUTES),
    async token() {
      const answer = parseStrict(await ask(options, TOKEN))
      return check(tokenSchema, answer, 'service account token', 'config.invalid').access_token
    },
    report: (outcome) => tell(options, outcome),
  }
}

/** The machine has no console, and who started it has to learn why it does not go on. */
async function tell({ attemptMs = 5_000, log, url }: MetadataOptions, outcome: string) {
  try {
    const { body, statusCode } = await request(`${url}/computeMetadata/v1/${OUTCOME}`, {
      method: 'PUT',
      headers: { 'metadata-flavor': 'Google' },
      body: outcome,
      signal: AbortSignal.timeout(attemptMs),
    })
    discard(body)
    if (statusCode !== 200) throw new Error(`status ${statusCode}`)
  } catch (error) {
    log('the outcome stays here: no guest attributes', { reason: (error as Error).message })
  }
}

async function ask(options: MetadataOptions, path: string): Promise<string> {
  const { deadlineMs = 120_000, attemptMs = 5_000, pauseMs = 500, log, url } = options
  const end = AbortSignal.timeout(deadlineMs)
  for (let attempt = 1; ; attempt++) {
    try {
      const signal = AbortSignal.any([end, AbortSignal.timeout(attemptMs)])
      return await once(`${url}/computeMetadata/v1/${path}`, signal)
    } catch (error) {
      if (error instanceof SealedError) throw error
      const reason = (error as Error).message
      if (end.aborted)
        throw new SealedError(
          'launch.unavailable',
          `no metadata server answers at ${url} within ${deadlineMs} ms (${reason}): is this a GCE instance, and is its network up?`,
        )
      log('metadata server does not answer yet', { path, attempt, reason })
      await delay(pauseMs, undefined, { signal: end }).catch(() => {})
    }
  }
}

/** Throws a `SealedError` for an answer that another attempt would not change. */
async function once(url: string, signal: AbortSignal): Promise<string> {
  const { body, headers, statusCode } = await request(url, {
    headers: { 'metadata-flavor': 'Google' },
    signal,
  })
  // Redirects are not followed: they are refused as every status is that is not expected.
  if (statusCode === 429 || statusCode >= 500) {
    discard(body)
    throw new Error(`it answers ${statusCode}`)
  }
  if (headers['metadata-flavor'] !== 'Google') {
    discard(body)
    throw refused(`${url} is answered by something else than GCE’s metadata server`)
  }
  if (statusCode !== 200) {
    discard(body)
    throw refused(
      statusCode === 404
        ? `the instance has nothing at ${url}: give it the attributes, or the service account, that are missing`
        : `${url} is answered with ${statusCode}`,
    )
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BYTES) throw refused(`${url}: the answer is longer than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return fromUtf8(Buffer.concat(chunks))
}

/** Its connection goes with it: what is not wanted is not read. */
const discard = (body: Readable) => void body.on('error', () => {}).destroy()

const refused = (message: string) => new SealedError('config.invalid', message)
