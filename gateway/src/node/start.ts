// Puts the gateway of one deployment together and starts it: sockets to embassy and relay, app, server. Root, where it
// has it, is used to bind and to read the TLS key, and is given up before the first request.
import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { type Deployment, SealedError } from '@sealed/protocol'
import { createApp } from '../app.ts'
import { embassyClient } from './embassy-client.ts'
import { KeyFile } from './key-file.ts'
import { loadHttpClient } from './load-http-client.ts'
import { ownDirectory, writeWhole } from './own-directory.ts'
import { dropPrivileges } from './privileges.ts'
import { relayClient } from './relay-client.ts'
import { cutOff, incomingBody, type ServerLimits, startServer } from './server.ts'
import { gatewayLimits, refuseOpenDoor } from './settings.ts'
import { UnixClient } from './unix-client.ts'

export interface RunningGateway {
  url: string
  /** Looks at the file of API keys at once, where there is one. */
  readKeys(): Promise<void>
  close(graceMs: number): Promise<void>
}

/** Sockets and files of one deployment, as the other processes know them. */
export const gatewayPaths = (runtimeDir: string) => ({
  embassy: join(runtimeDir, 'embassy/gateway.sock'),
  relay: join(runtimeDir, 'relay/ingress.sock'),
  key: join(runtimeDir, 'tls/key.pem'),
  certificate: join(runtimeDir, 'tls/cert.pem'),
  request: join(runtimeDir, 'tls/request.csr'),
})

/** Starts listening; throws `config.invalid` for a deployment that must not be served. */
export async function startGateway(
  deployment: Deployment,
  options: {
    report?: (error: unknown, requestId: string) => void
    /** Told when the file of API keys cannot be read any more, in words for its operator. */
    keysFault?: (reason: string) => void
    server?: Partial<ServerLimits>
  } = {},
): Promise<RunningGateway> {
  const { host, port } = deployment.gateway
  refuseOpenDoor(deployment, host)
  const paths = gatewayPaths(deployment.runtime_dir)
  const directory = await ownDirectory(deployment.runtime_dir, 'gateway', 0o755)
  const tls = await readTls(deployment)
  const keys =
    deployment.api_keys === undefined
      ? undefined
      : await KeyFile.open(deployment.api_keys, options.keysFault)
  const embassy = new UnixClient(paths.embassy)
  const relay = new UnixClient(paths.relay)
  const app = createApp({
    embassy: embassyClient(embassy),
    relay: relayClient(relay, deployment.limits.output_bytes),
    ...(keys && { apiKeys: () => keys.current() }),
    limits: gatewayLimits(deployment),
    corsOrigins: deployment.gateway.cors_origins ?? [],
    bodyOf: incomingBody,
    cutOff,
    ...(options.report && { report: options.report }),
  })
  const server = await startServer({
    fetch: (request, env) => app.fetch(request, env),
    host,
    port,
    ...(tls && { tls }),
    ...(options.server && { limits: options.server }),
  })
  const close = async (graceMs: number) => {
    await server.close(graceMs)
    await keys?.stop()
    await Promise.all([embassy.close(), relay.close()])
  }
  try {
    refuseOpenDoor(deployment, server.address.address)
    await loadHttpClient(join(directory, 'load.sock'))
    dropPrivileges()
    await keys?.start()
    const shown = isIPv6(host) ? `[${host}]` : host
    const url = `${tls ? 'https' : 'http'}://${shown}:${server.address.port}`
    await writeWhole(join(directory, 'url'), `${url}\n`, 0o644)
    return { url, close, readKeys: async () => keys?.look() }
  } catch (error) {
    await close(0)
    throw error
  }
}

async function readTls({ gateway, runtime_dir }: Deployment) {
  if (gateway.tls.mode === 'off') return undefined
  const paths = gateway.tls.mode === 'files' ? gateway.tls : gatewayPaths(runtime_dir)
  const read = (path: string) =>
    readFile(path, 'utf8').catch((cause) => {
      const hint = gateway.tls.mode === 'embassy' ? '; the embassy issues it when it starts' : ''
      throw new SealedError('config.invalid', `cannot read ${path}${hint}`, { cause })
    })
  return { certificate: await read(paths.certificate), key: await read(paths.key) }
}
