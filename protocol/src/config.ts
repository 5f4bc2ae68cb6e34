// The files that an operator writes: the deployment (`sealed.json`) and each workload (`workload.json`). Unknown
// members are refused; what is measured of a workload is the SHA-256 of its file's bytes.
import * as v from 'valibot'
import { egressRuleSchema } from './attestation.ts'
import { fromUtf8 } from './bytes.ts'
import { witnessKeySchema } from './cosignature.ts'
import { parseStrict } from './json.ts'
import { base64url, check, digest, hex, integer, models, name, text } from './schema.ts'
import { tlsSchema } from './tls.ts'
import { unsealedReason } from './unsealed.ts'
import { weightsSchema } from './weights.ts'

const path = v.pipe(text(4096), v.minLength(1))
/** Of a file that several processes read, whatever their working directory is. */
const absolutePath = v.pipe(text(4096), v.regex(/^\//, 'must be an absolute path'))
const endpoint = v.pipe(
  v.string(),
  v.regex(/^\/[a-z0-9/_-]{1,63}$/, 'must be a path of lower-case letters'),
)

/** Policies `epoch` and `permanent`: sessions share a replica and its seal. */
const epochSchema = v.strictObject({
  /** How long a replica waits under its seal for another session when the last has left. */
  idle_ms: v.optional(integer(10, 86_400_000), 1_000),
  /** From the seal until nobody joins any more; the epoch ends with the last session that is open. */
  max_ms: integer(1_000, 86_400_000),
  /** How many share a replica at once. */
  sessions: integer(1, 256),
})

const MIB = 1024 * 1024
/** A Node server was seen to take 68. */
const RUNSC_PIDS = 128

const workloadMembers = v.strictObject({
  activations: v.picklist(['none', 'safetensors']),
  /** Arguments in place of the image's own; its entry point stays. */
  command: v.exactOptional(v.pipe(v.array(text(4096)), v.minLength(1), v.maxLength(64))),
  /** Destinations open to the workload while it is not sealed. */
  egress: v.pipe(v.array(egressRuleSchema), v.maxLength(64)),
  endpoints: v.pipe(v.array(endpoint), v.minLength(1), v.maxLength(16)),
  epoch: v.exactOptional(epochSchema),
  env: v.pipe(
    v.array(
      v.strictObject({
        name: v.pipe(v.string(), v.regex(/^[A-Z][A-Z0-9_]{0,63}$/)),
        value: text(4096),
      }),
    ),
    v.maxLength(64),
  ),
  /** GPUs by the names that NVIDIA's driver gives them (`GPU-…`, `MIG-…`); none by default. */
  gpus: v.exactOptional(
    v.pipe(
      v.array(v.pipe(v.string(), v.regex(/^(?:GPU|MIG)-[0-9A-Za-z/-]{1,64}$/))),
      v.minLength(1),
      v.maxLength(16),
    ),
  ),
  /** Image config digest (SHA-256), the image's identity. */
  image: digest,
  memory_bytes: integer(16 * 1024 * 1024),
  models,
  name,
  /** Processes and threads; with `runsc` those of the sandbox too, two for each of the workload's. */
  pids: integer(4, 65536),
  port: integer(1, 65535),
  prefix_cache: v.picklist(['off', 'unknown']),
  /** How the workload takes part: `cooperative` gets ciphertext, and asks the embassy itself for the key. */
  protocol: v.exactOptional(v.picklist(['plain', 'cooperative'])),
  /** What runs the container: the engine's own `runc`, or gVisor's `runsc`. */
  runtime: v.exactOptional(v.picklist(['runc', 'runsc'])),
  seal_policy: v.picklist(['request', 'epoch', 'permanent']),
  /** Memory that its processes share at `/dev/shm`, and files at `/tmp`; both count towards `memory_bytes`. */
  shm_bytes: v.exactOptional(integer(MIB, 64 * 1024 * MIB)),
  tmp_bytes: v.exactOptional(integer(MIB, 64 * 1024 * MIB)),
  version: v.literal(1),
  /** Volumes that stand in the container, read-only, each named by the root hash of its dm-verity tree. */
  weights: v.exactOptional(weightsSchema),
})
export const workloadSchema = v.pipe(
  workloadMembers,
  v.check(
    ({ seal_policy, epoch }) => (seal_policy === 'request') === (epoch === undefined),
    'epoch stands with the seal policies epoch and permanent, and only there',
  ),
  v.check(
    ({ runtime, pids }) => runtime !== 'runsc' || pids >= RUNSC_PIDS,
    `with runsc the sandbox's own threads count, and it dies when it gets no more: pids must be at least ${RUNSC_PIDS}`,
  ),
)
export type Workload = v.InferOutput<typeof workloadSchema>

/** Of its weights volumes, in the file's order. */
export const rootHashes = ({ weights = [] }: Pick<Workload, 'weights'>): string[] =>
  weights.map(({ root_hash }) => root_hash)

const limitsSchema = v.strictObject({
  /** Bytes of one plain request body. */
  body_bytes: v.optional(integer(1, 1024 * 1024 * 1024), 1024 * 1024),
  /** How long a late activations file is waited for at commit. */
  activations_ms: v.optional(integer(1), 2_000),
  /** Sessions of one caller that are open at once, those waiting included. */
  caller_sessions: v.optional(integer(1), 65),
  /** No session is begun while less is free where the state directory is. */
  disk_free_bytes: v.optional(integer(1), 256 * 1024 * 1024),
  /** How long a workload's server may take until it listens; while it says at /health that it is loading, longer. */
  listen_ms: v.optional(integer(1), 60_000),
  output_bytes: v.optional(integer(1), 16 * 1024 * 1024),
  /** Sessions of one workload that wait for a replica. */
  queue: v.optional(integer(0), 64),
  queue_ms: v.optional(integer(1), 60_000),
  /** Requests of one API key in a minute, where the key has no limit of its own. */
  requests_per_minute: v.optional(integer(1, 1_000_000), 600),
  /** From reveal to the end of the workload's answer. */
  workload_ms: v.optional(integer(1), 120_000),
})
export type Limits = v.InferOutput<typeof limitsSchema>

const isHttp = (text: string) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return (
    url !== undefined && /^https?:$/.test(url.protocol) && !(url.search || url.hash || url.username)
  )
}
/** A C2SP tlog-witness that checkpoints are shown to; verifiers choose for themselves whom they believe. */
const witnessSchema = v.strictObject({
  ...witnessKeySchema.entries,
  /** Submission prefix. */
  url: v.pipe(text(512), v.check(isHttp, 'must be an http(s) URL without query and fragment')),
})

const isOrigin = (text: string) =>
  /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text
const webOrigin = v.pipe(
  text(256),
  v.check(isOrigin, 'must be an origin as browsers write it, such as https://app.example'),
)

export const deploymentMembers = v.strictObject({
  /** `keys.json`, see `apiKeysSchema`; absent means that only loopback may call and no key is asked for. */
  api_keys: v.exactOptional(absolutePath),
  authorities: v.array(v.strictObject({ id: hex(16), name, public_key: base64url(32) })),
  /** Socket of the container engine that replicas run in; absent means `/var/run/docker.sock`. */
  docker_socket: v.exactOptional(absolutePath),
  gateway: v.strictObject({
    /** Of metrics and health, on loopback. */
    admin_port: v.optional(integer(0, 65535), 9464),
    /** Web pages that may call from a browser; none by default. */
    cors_origins: v.exactOptional(v.pipe(v.array(webOrigin), v.maxLength(64))),
    /** How long requests under way may still take when the gateway is stopped. */
    grace_ms: v.optional(integer(0, 3_600_000), 20_000),
    host: text(64),
    port: integer(0, 65535),
    tls: tlsSchema,
  }),
  /** Four hex digits that name this instance's firewall tables, interfaces, containers and directories. */
  id: hex(2),
  /** `launch.json`: how the workload was chosen when the machine was started, where it was. */
  launch: v.exactOptional(path),
  limits: v.optional(limitsSchema, {}),
  metering: v.picklist(['required', 'optional']),
  /** The container that holds a replica's network. */
  pause: v.exactOptional(v.strictObject({ archive: path, image: digest })),
  probes: v.strictObject({
    interval_ms: integer(1_000),
    /** Further addresses that probes try to reach, beside host, siblings, resolver and metadata server. */
    targets: v.pipe(v.array(egressRuleSchema), v.maxLength(16)),
  }),
  /** Days that receipts, and what is needed to read them, are kept; hashes, checkpoints and meters stay. */
  retention_days: v.optional(integer(1, 36_500), 400),
  runtime_dir: path,
  state_dir: path,
  /** Where the processor is asked for its report, once a boot; absent where it makes none. */
  tee: v.exactOptional(
    v.strictObject({
      /** `/sys/kernel/config/tsm/report`. */
      directory: path,
      /** TDX: `/sys/firmware/acpi/tables/data/CCEL`. */
      event_log: v.exactOptional(path),
    }),
  ),
  tpm: v.exactOptional(
    v.strictObject({
      /** PEM file with the certificates above the attestation key's, root last. */
      chain: path,
      /** Event log of the boot: on a VM `/sys/kernel/security/tpm0/binary_bios_measurements`. */
      event_log: v.exactOptional(path),
      /** `/dev/tpmrm0`, or the Unix socket of a software TPM. */
      path,
    }),
  ),
  /** The machine cannot seal, and why. Nothing is sealed or attested then, and every receipt says so and fails. */
  unsealed: v.exactOptional(unsealedReason),
  version: v.literal(1),
  witnesses: v.exactOptional(v.pipe(v.array(witnessSchema), v.maxLength(8))),
  workloads: v.pipe(
    v.array(
      v.strictObject({
        /** Of the image; absent where a launch has pulled it. */
        archive: v.exactOptional(path),
        file: path,
        replicas: integer(1, 16),
      }),
    ),
    v.minLength(1),
    v.maxLength(8),
  ),
})
/** A deployment seals, with all that it takes, or says that it does not and names none of it. */
export const deploymentSchema = v.pipe(
  deploymentMembers,
  v.check(
    ({ docker_socket, pause, tee, tpm, unsealed }) =>
      unsealed === undefined
        ? pause !== undefined && tpm !== undefined
        : !docker_socket && !pause && !tpm && !tee,
    'pause and tpm stand, or unsealed does and neither they nor docker_socket nor tee',
  ),
  v.check(
    ({ launch, unsealed, workloads }) =>
      launch === undefined
        ? workloads.every(({ archive }) => archive !== undefined)
        : unsealed === undefined && workloads.length === 1 && workloads[0]!.archive === undefined,
    'a launch is of one workload, whose image has no archive, on a machine that seals; without one every workload has its archive',
  ),
)
export type Deployment = v.InferOutput<typeof deploymentSchema>

/** Parses `sealed.json`; throws `json.invalid` or `config.invalid` naming the member at fault. */
export const parseDeployment = (bytes: Uint8Array): Deployment =>
  check(deploymentSchema, parseStrict(fromUtf8(bytes)), 'sealed.json', 'config.invalid')

/** Parses `workload.json`; throws `json.invalid` or `config.invalid` naming the member at fault. */
export const parseWorkload = (bytes: Uint8Array): Workload =>
  check(workloadSchema, parseStrict(fromUtf8(bytes)), 'workload.json', 'config.invalid')
