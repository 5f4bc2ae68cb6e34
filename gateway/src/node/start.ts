// Puts the gateway of one deployment together and starts it: sockets to embassy and relay, app, server. Root, where it
// has it, is used to bind and to read the TLS key, and is given up before the first request.
import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { dirname, join } from 'node:path'
import { type Deployment, fromUtf8, SealedError } from '@sealed/protocol'
import { createApp } from '../app.ts'
import { Slots } from '../middleware/slots.ts'
import { startAdmin } from './admin.ts'
import { directStream } from './direct-stream.ts'
import { embassyClient } from './embassy-client.ts'
import { KeyFile } from './key-file.ts'
import { loadHttpClient } from './load-http-client.ts'
import { type Observer, observer } from './observe.ts'
import { ownDirectory, writeWhole } from './own-directory.ts'
import { dropPrivileges } from './privileges.ts'
import { relayClient } from './relay-client.ts'
import { RelaySocket } from './relay-socket.ts'
import { whenSent } from './sent.ts'
import { cutOff, incomingBody, type ServerLimits, startServer } from './server.ts'
import { gatewayLimits, refuseOpenDoor } from './settings.ts'
import { readAll, UnixClient } from './unix-client.ts'

export interface RunningGateway {
  url: string
  /** Looks at the file of API keys at once, where there is one. */
  readKeys(): Promise<void>
  /** Asks for another certificate at once, where they come from an ACME server. */
  renewCertificate(): void
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
  options: { server?: Partial<ServerLimits> } = {},
): Promise<RunningGateway> {
  const { host, port } = deployment.gateway
  refuseOpenDoor(deployment, host)
  const paths = gatewayPaths(deployment.runtime_dir)
  const directory = await ownDirectory(deployment.runtime_dir, 'gateway', 0o755)
  const tls = await readTls(deployment)
  const limits = gatewayLimits(deployment)
  const slots = new Slots(limits)
  const seen = observer(() => slots.used)
  const keys =
    deployment.api_keys === undefined
      ? undefined
      : await KeyFile.open(deployment.api_keys, (reason) =>
          seen.warn('API keys cannot be read', { reason }),
        )
  const acme = tls && (await acmeOf(deployment, tls.key, seen))
  const embassy = new UnixClient(paths.embassy)
  const relay = new RelaySocket(paths.relay)
  const app = createApp({
    embassy: embassyClient(embassy),
    relay: relayClient(relay, deployment.limits.output_bytes),
    ...(keys && { apiKeys: () => keys.current() }),
    limits,
    ...(acme && { certificate: acme.state }),
    slots,
    corsOrigins: deployment.gateway.cors_origins ?? [],
    bodyOf: incomingBody,
    cutOff,
    streamOf: directStream,
    record: seen.record,
    report: seen.report,
    whenSent,
  })
  const server = await startServer({
    fetch: (request, env) => app.fetch(request, env),
    host,
    port,
    ...(tls && {
      tls: {
        key: tls.key,
        certificate: acme?.certificate ?? tls.certificate,
        ...(acme && { challenges: acme.challenges }),
      },
    }),
    ...(options.server && { limits: options.server }),
  })
  const admin = await startAdmin({
    port: deployment.gateway.admin_port,
    registry: seen.registry,
    embassyMetrics: () => metricsOf(embassy),
    health: (request, env) => app.fetch(request, env),
  }).catch(async (error: Error) => {
    await server.close(0)
    throw new SealedError(
      'config.invalid',
      `cannot listen on gateway.admin_port ${deployment.gateway.admin_port}: ${error.message}`,
      { param: 'gateway.admin_port', cause: error },
    )
  })
  const close = async (graceMs: number) => {
    await acme?.stop()
    await server.close(graceMs)
    await admin.close()
    seen.flush()
    await keys?.stop()
    relay.close()
    await embassy.close()
  }
  try {
    refuseOpenDoor(deployment, server.address.address)
    await loadHttpClient(join(directory, 'load.sock'))
    dropPrivileges()
    await keys?.start()
    const shown = isIPv6(host) ? `[${host}]` : host
    const url = `${tls ? 'https' : 'http'}://${shown}:${server.address.port}`
    await writeWhole(join(directory, 'admin'), `http://127.0.0.1:${admin.port}\n`, 0o644)
    await writeWhole(join(directory, 'url'), `${url}\n`, 0o644)
    await acme?.begin(server.setCertificate)
    return {
      url,
      close,
      readKeys: async () => keys?.look(),
      renewCertificate: () => acme?.renewNow(),
    }
  } catch (error) {
    await close(0)
    throw error
  }
}

const MAX_METRICS = 1024 * 1024
const METRICS_MS = 2_000

async function metricsOf(embassy: UnixClient): Promise<string> {
  const signal = AbortSignal.timeout(METRICS_MS)
  const answer = await embassy.get('/metrics', signal)
  const body = await readAll(answer.body, MAX_METRICS, signal)
  if (answer.status !== 200) throw new Error(`the embassy answered ${answer.status}`)
  return fromUtf8(body)
}

/** Loaded where the mode needs it: the ACME library brings some fifty packages with it. */
async function acmeOf({ gateway, runtime_dir }: Deployment, key: string, seen: Observer) {
  if (gateway.tls.mode !== 'acme') return undefined
  const { prepareAcme } = await import('../acme/start.ts')
  return prepareAcme(gateway.tls, dirname(gatewayPaths(runtime_dir).key), key, seen)
}

async function readTls({ gateway, runtime_dir }: Deployment) {
  if (gateway.tls.mode === 'off') return undefined
  const paths = gateway.tls.mode === 'files' ? gateway.tls : gatewayPaths(runtime_dir)
  const read = (path: string) =>
    readFile(path, 'utf8').catch((cause) => {
      const hint = gateway.tls.mode === 'files' ? '' : '; the embassy issues it when it starts'
      throw new SealedError('config.invalid', `cannot read ${path}${hint}`, { cause })
    })
  return { certificate: await read(paths.certificate), key: await read(paths.key) }
}
