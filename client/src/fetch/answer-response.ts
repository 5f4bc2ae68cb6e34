// A verified answer as an ordinary Response, whole or as it comes. One that comes in pieces ends well only after its
// receipt was verified; until then its end is held back, and whatever goes wrong is an error of the body.
import type { Bytes, HeadFrame } from '@sealed/protocol'
import type { Answer } from '../ask.ts'
import { EndMarker } from './end-marker.ts'
import { invitesRetry } from './failure-response.ts'

/** What is put into an event stream once it is verified, before the line that ends it. */
export type Epilogue = (answer: Answer) => Uint8Array

const BODILESS = [204, 205, 304]

/** The whole answer, verified. A workload's 5xx is 424 here: the session is over and was metered. */
export function wholeResponse(answer: Answer): Response {
  const headers = headersOf(answer, answer.receiptId)
  headers['sealed-verdict'] = answer.verdict.outcome
  if (answer.status < 200 || answer.status > 299) headers['x-should-retry'] = 'false'
  let { status } = answer
  if (status < 200 || invitesRetry(status)) {
    headers['sealed-workload-status'] = String(status)
    status = 424
  }
  return new Response(BODILESS.includes(status) ? null : answer.output, { status, headers })
}

/** True for a head that may be shown before the answer is whole; errors wait for their receipt. */
export const isLive = ({ status }: HeadFrame): boolean => status >= 200 && status < 300

const headersOf = (
  { contentType }: { contentType: string },
  receiptId: string | undefined,
): Record<string, string> => ({
  'content-type': contentType,
  ...(receiptId !== undefined && { 'sealed-receipt-id': receiptId }),
})

/** A body that is filled as frames come, whatever its reader's pace: a slow one must not hold the seal. */
export class LiveBody {
  readonly response: Response
  readonly #marker: EndMarker | undefined
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined

  /** `onCancel` is called when the reader gives up. */
  constructor(head: HeadFrame, receiptId: string | undefined, onCancel: (reason: unknown) => void) {
    const events = /^text\/event-stream *(?:;|$)/i.test(head.content_type)
    this.#marker = events ? new EndMarker() : undefined
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller
      },
      cancel: (reason) => {
        this.#controller = undefined
        onCancel(reason)
      },
    })
    const { status } = head
    const headers = headersOf({ contentType: head.content_type }, receiptId)
    this.response = new Response(BODILESS.includes(status) ? null : body, { status, headers })
  }

  /** Shows a copy: a reader may give away the memory of what it reads, and the answer is judged by these bytes. */
  push(bytes: Bytes): void {
    this.#show(this.#marker ? this.#marker.push(bytes) : bytes.slice())
  }

  /** The answer is verified: shows what was held back, and ends. */
  end(answer: Answer, epilogue: Epilogue | undefined): void {
    if (this.#marker && epilogue) this.#show(epilogue(answer))
    if (this.#marker) this.#show(this.#marker.rest())
    this.#controller?.close()
    this.#controller = undefined
  }

  fail(error: unknown): void {
    this.#controller?.error(error)
    this.#controller = undefined
  }

  #show(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#controller?.enqueue(bytes)
  }
}
