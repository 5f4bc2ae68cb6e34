// Answers tls-alpn-01 (RFC 8737) on the gateway's own port: a handshake that offers `acme-tls/1` and nothing else, for a
// name that is being validated this moment, meets the certificate that proves it, and then the end. Not a byte of HTTP
// passes on such a connection, and the gateway's own key takes no part in it.
import type { Server } from 'node:https'
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'

export const ACME_PROTOCOL = 'acme-tls/1'
const HTTP = 'http/1.1'

export class Challenges {
  readonly #contexts = new Map<string, SecureContext>()

  /** From now on handshakes for `name` meet this certificate (PEM); until the returned function is called. */
  open(name: string, proof: { key: string; cert: string }): () => void {
    const context = createSecureContext({ ...proof, minVersion: 'TLSv1.2' })
    this.#contexts.set(name, context)
    return () => {
      if (this.#contexts.get(name) === context) this.#contexts.delete(name)
    }
  }

  /** What a handshake speaks; undefined refuses it. */
  choose(
    socket: Pick<TLSSocket, 'setKeyCert'>,
    servername: string,
    offered: readonly string[],
  ): string | undefined {
    if (!offered.includes(ACME_PROTOCOL)) return offered.includes(HTTP) ? HTTP : undefined
    const context = this.#contexts.get(servername.toLowerCase())
    if (!context || offered.length !== 1) return undefined
    socket.setKeyCert(context)
    return ACME_PROTOCOL
  }
}

/** For `createServer`: `this` is the connection whose handshake it is. */
export const alpnCallback = (challenges: Challenges) =>
  function (this: unknown, hello: { servername: string; protocols: string[] }) {
    return challenges.choose(this as TLSSocket, hello.servername || '', hello.protocols)
  }

/** Ends connections that spoke `acme-tls/1`, before the server would read a request from them. */
export function keepFromHttp(server: Server): void {
  const listeners = server.listeners('secureConnection') as ((socket: TLSSocket) => void)[]
  server.removeAllListeners('secureConnection')
  server.on('secureConnection', (socket) => {
    if (socket.alpnProtocol === ACME_PROTOCOL) socket.destroySoon()
    else for (const listener of listeners) listener.call(server, socket)
  })
}
