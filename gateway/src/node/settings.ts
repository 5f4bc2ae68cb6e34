// Where the gateway's settings come from: `--config`, `SEALED_CONFIG`, then /etc/sealed/sealed.json. What would open
// the gateway to strangers without a key, or without TLS, is refused here.
import { readFile } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { parseArgs } from 'node:util'
import { type Deployment, parseDeployment, SealedError } from '@sealed/protocol'
import type { GatewayLimits } from '../deps.ts'

/** Requests under way at once, whoever sends them. */
const TOTAL_REQUESTS = 512

/** Reads the deployment; throws `config.invalid` naming the file or the member at fault. */
export async function readDeployment(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<Deployment> {
  const { values } = parseArgs({ args: [...args], options: { config: { type: 'string' } } })
  const path = values.config ?? env.SEALED_CONFIG ?? '/etc/sealed/sealed.json'
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (cause) {
    throw new SealedError('config.invalid', `cannot read ${path}; name it with --config`, { cause })
  }
  return parseDeployment(bytes)
}

/** True when only this machine may reach the gateway. */
export const loopbackOnly = (deployment: Pick<Deployment, 'api_keys' | 'gateway'>): boolean =>
  deployment.api_keys === undefined || deployment.gateway.tls.mode === 'off'

/** Throws `config.invalid` when a gateway without keys or without TLS would listen beyond the loopback. */
export function refuseOpenDoor(
  deployment: Pick<Deployment, 'api_keys' | 'gateway'>,
  address: string,
): void {
  if (!loopbackOnly(deployment) || isLoopback(address)) return
  const lacks = deployment.api_keys === undefined ? 'API keys (api_keys)' : 'TLS (gateway.tls)'
  throw new SealedError(
    'config.invalid',
    `gateway.host is ${address}: without ${lacks} it must be a loopback address such as 127.0.0.1`,
    { param: 'gateway.host' },
  )
}

const isLoopback = (address: string) =>
  address === '::1' || address === 'localhost' || (isIPv4(address) && address.startsWith('127.'))

export const gatewayLimits = ({ limits }: Pick<Deployment, 'limits'>): GatewayLimits => ({
  bodyBytes: limits.body_bytes,
  callerRequests: limits.caller_sessions,
  requestsPerMinute: limits.requests_per_minute,
  totalRequests: TOTAL_REQUESTS,
})
