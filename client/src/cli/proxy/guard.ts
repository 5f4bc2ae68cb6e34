// Who may use the proxy, and in what form: programs of this machine, in requests that cannot be read in two ways. A page
// in a browser of this machine is a stranger: it reaches the loopback too, by its own name for it or across origins.
import type { IncomingMessage } from 'node:http'
import { SealedError } from '@sealed/protocol'
import { GatewayFailure } from '../../failure.ts'

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/** Throws for a request that is not served, whatever it asks for. */
export function guard({ headers, url }: IncomingMessage): void {
  if (!LOOPBACK.test(headers.host ?? ''))
    throw forbidden('the proxy is asked by the loopback’s name or address alone', 'host')
  const { origin } = headers
  if (origin !== undefined && !LOOPBACK.test(/^https?:\/\/(.*)$/i.exec(origin)?.[1] ?? ''))
    throw forbidden('a page of another origin may not use this proxy', 'origin')
  if (!/^\/(?!\/)[\x21-\x7e]*$/.test(url ?? ''))
    throw new SealedError('request.invalid', 'the target of a request must be a path', {
      param: 'url',
    })
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    throw new SealedError('request.unsupported', 'the one transfer coding is chunked', {
      param: 'transfer-encoding',
    })
}

const forbidden = (message: string, param: string) =>
  new GatewayFailure('request.unauthorized', message, { status: 403, param })
