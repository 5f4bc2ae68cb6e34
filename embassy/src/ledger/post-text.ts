// One POST to a host that is not trusted: a deadline, a bounded answer, no redirects.
import { concat, fromUtf8 } from '@sealed/protocol'

export type Post = (
  url: string,
  body: string,
  stop: AbortSignal,
) => Promise<{ status: number; body: string }>

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 65_536

/** Rejects when nothing answers in time, or with more than 64 KiB. */
export const postText: Post = async (url, body, stop) => {
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    redirect: 'error',
    signal: AbortSignal.any([stop, AbortSignal.timeout(TIMEOUT_MS)]),
  })
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of response.body ?? []) {
    length += part.length
    if (length > MAX_ANSWER_BYTES) throw new Error('it answers with too much')
    parts.push(part)
  }
  return { status: response.status, body: fromUtf8(concat(...parts)) }
}
