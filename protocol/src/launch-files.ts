// What a deployment is made of where a machine is launched by its instance's attributes: `base.json`, which the measured
// image holds, and the attribute `sealed-deployment`, which an operator writes. Neither can say what is the other's.
import * as v from 'valibot'
import { apiKeysSchema } from './api-keys.ts'
import { fromUtf8 } from './bytes.ts'
import { deploymentMembers } from './config.ts'
import { parseStrict } from './json.ts'
import { registryHost } from './launch.ts'
import { check, integer, text } from './schema.ts'

const { entries } = deploymentMembers
const { admin_port, cors_origins, grace_ms, host, port, tls } = entries.gateway.entries

/** Directories, ports, devices, and the container that holds a replica's network. */
export const baseSchema = v.strictObject({
  docker_socket: entries.docker_socket,
  gateway: v.strictObject({ admin_port, host, port, tls: v.exactOptional(tls) }),
  id: entries.id,
  pause: entries.pause.wrapped,
  probes: entries.probes,
  /** Where the container engine looks for registries' certificate authorities: `/etc/docker/certs.d`. */
  registry_certs: v.exactOptional(entries.state_dir),
  runtime_dir: entries.runtime_dir,
  state_dir: entries.state_dir,
  /** Taken where the machine has a processor that reports. */
  tee: entries.tee,
  /** Without `chain` the certificates are fetched from where the attestation key's own says. */
  tpm: v.strictObject({
    ...entries.tpm.wrapped.entries,
    chain: v.exactOptional(entries.tpm.wrapped.entries.chain),
  }),
  version: v.literal(1),
})
export type Base = v.InferOutput<typeof baseSchema>

export const operatorSchema = v.pipe(
  v.strictObject({
    /** As in `keys.json`; absent means that only loopback may call. */
    api_keys: v.exactOptional(apiKeysSchema.entries.keys),
    authorities: entries.authorities,
    gateway: v.optional(
      v.strictObject({
        cors_origins,
        grace_ms,
        // A path would be one of the machine's own files.
        tls: v.exactOptional(
          v.pipe(
            tls,
            v.check(
              (given) =>
                given.mode !== 'files' && !('roots' in given) && !('external_account' in given),
              'may not name files of the machine',
            ),
          ),
        ),
      }),
      {},
    ),
    limits: entries.limits,
    metering: entries.metering,
    /** A registry beside Google's that is sent the token of the instance's service account. */
    registry: v.exactOptional(registryHost),
    /** PEM certificates that vouch for that registry, where no public authority does. */
    registry_ca: v.exactOptional(v.pipe(text(65_536), v.includes('-----BEGIN CERTIFICATE-----'))),
    replicas: v.optional(integer(1, 16), 1),
    retention_days: entries.retention_days,
    version: v.literal(1),
    witnesses: entries.witnesses,
  }),
  v.check(
    ({ registry, registry_ca }) => registry_ca === undefined || registry !== undefined,
    'registry_ca stands with the registry that it vouches for',
  ),
)
export type Operator = v.InferOutput<typeof operatorSchema>

/** Parses `base.json`; throws `json.invalid` or `config.invalid` naming the member at fault. */
export const parseBase = (bytes: Uint8Array): Base =>
  check(baseSchema, parseStrict(fromUtf8(bytes)), 'base.json', 'config.invalid')
