// Errors on the sockets between the processes of one machine. The status only tells failure apart from success: what
// matters is the code.
import { SealedError, toRpcError } from '@sealed/protocol'
import type { ErrorHandler } from 'hono'

export const onError: ErrorHandler = (error, c) => {
  const remedy = error instanceof SealedError ? error.remedy : 'stop'
  if (!(error instanceof SealedError)) console.error(error)
  return c.json(toRpcError(error), remedy === 'request' ? 400 : remedy === 'retry' ? 503 : 500)
}
