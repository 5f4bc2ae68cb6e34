// A Response written to whoever asked, at the pace at which it is read. A body that fails ends the connection in the
// middle of its answer, after an error event where it is a stream of events: nobody takes what came for a whole answer.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { SealedError } from '@sealed/protocol'

/** Resolves once the connection has it all, or is gone; rejects with what the body failed with. */
export async function writeResponse(response: Response, res: ServerResponse): Promise<void> {
  res.writeHead(response.status, Object.fromEntries(response.headers))
  const gone = once(res, 'close').catch(() => {})
  const reader = response.body?.getReader()
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
      if (done || res.destroyed) break
      if (!res.write(value)) await Promise.race([once(res, 'drain').catch(() => {}), gone])
    }
  } catch (error) {
    cut(res, error, response.headers.get('content-type') ?? '')
    throw error
  }
  if (res.destroyed) return void reader?.cancel().catch(() => {})
  res.end()
  await gone
}

function cut(res: ServerResponse, error: unknown, type: string): void {
  if (res.destroyed) return
  if (!/^text\/event-stream *(?:;|$)/i.test(type)) return void res.destroy()
  const known = error instanceof SealedError
  const said = {
    message: known ? error.message : 'the answer was cut',
    type: 'session_error',
    code: known ? error.code : 'response.truncated',
    param: null,
  }
  // What came before may have ended inside a line. The chunk that would end the body well is never written.
  res.write(`\n\ndata: ${JSON.stringify({ error: said })}\n\n`, () => res.destroy())
}
