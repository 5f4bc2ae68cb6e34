// Refusals below the app: requests that are no proper HTTP, or have too large a header. Same shape as every error.
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { SealedError } from '@sealed/protocol'
import { errorBody } from '../errors.ts'

type Fault = Pick<SealedError, 'code' | 'message'>

const REASONS: Record<number, string> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
}

/** Status and error of what Node's parser refused. */
export function parserFault(error: NodeJS.ErrnoException): { status: number; fault: Fault } {
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return { status: 431, fault: { code: 'request.too_large', message: 'the header is too large' } }
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return {
      status: 408,
      fault: { code: 'request.invalid', message: 'the request came too slowly' },
    }
  return { status: 400, fault: { code: 'request.invalid', message: 'this is not valid HTTP/1.1' } }
}

/** Answers on a connection that has no request of its own, and closes it. */
export function refuseSocket(socket: Duplex, status: number, fault: Fault): void {
  const body = bodyOf(status, fault)
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status]}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\ncache-control: no-store\r\n` +
      `x-request-id: ${crypto.randomUUID()}\r\nconnection: close\r\n\r\n${body}`,
  )
}

/** Answers a request that is not passed to the app, and closes its connection. */
export function refuseRequest(outgoing: ServerResponse, status: number, fault: Fault): void {
  outgoing.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'x-request-id': crypto.randomUUID(),
    connection: 'close',
  })
  outgoing.end(bodyOf(status, fault))
}

const bodyOf = (status: number, fault: Fault) =>
  JSON.stringify(errorBody(status, { ...fault, param: undefined }))
