// What the proxy uses of the npm package `http-proxy`, whose own types describe far more.
declare module 'http-proxy' {
  import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
  import type { Socket } from 'node:net'
  import type { Duplex } from 'node:stream'

  interface Proxy {
    web(req: IncomingMessage, res: ServerResponse): void
    ws(
      req: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      options: object,
      failed: (error: Error) => void,
    ): void
    on(
      event: 'error',
      listener: (error: Error, req: IncomingMessage, to: ServerResponse | Socket) => void,
    ): this
    on(
      event: 'proxyReq',
      listener: (out: ClientRequest, req: IncomingMessage, res: ServerResponse) => void,
    ): this
    on(
      event: 'proxyRes',
      listener: (answer: IncomingMessage, req: IncomingMessage, res: ServerResponse) => void,
    ): this
    once(event: 'proxyReqWs', listener: (out: ClientRequest) => void): this
  }
  const httpProxy: {
    createProxyServer(options: {
      target: string
      changeOrigin: boolean
      selfHandleResponse: boolean
      proxyTimeout: number
    }): Proxy
  }
  export default httpProxy
}
