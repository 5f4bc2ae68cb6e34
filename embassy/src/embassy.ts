// Puts one embassy together, in the order that the trust needs: TPM, keys and measurements, ledger, firewall,
// containers, and only then the sockets that requests come through.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  authorityId,
  canonicalize,
  type Deployment,
  fromBase64url,
  rootHashes,
  SealedError,
} from '@sealed/protocol'
import { loadWorkloads, measuredConfiguration } from './configuration.ts'
import { issueCertificate, spkiDigest } from './keys/certificate.ts'
import { KeyDirectory } from './keys/key-files.ts'
import { FileFlag } from './ledger/flag.ts'
import { insist } from './ledger/insist.ts'
import { Ledger } from './ledger/ledger.ts'
import { Witnesses } from './ledger/witnesses.ts'
import type { Log } from './log.ts'
import { openMachine, RELAY_UID } from './machine.ts'
import { createMetrics } from './metrics.ts'
import { overviewOf, statesOf, statusOf } from './overview.ts'
import { RelaySupervisor } from './relay/supervisor.ts'
import { Fleet } from './replicas/fleet.ts'
import { adminApp, removeParts } from './server/admin-app.ts'
import { listenForCalls } from './server/channel.ts'
import { gatewayApp } from './server/gateway-app.ts'
import { listen } from './server/listen.ts'
import { relayCalls } from './server/relay-calls.ts'
import { listenForWorkload } from './server/workload-door.ts'
import { Nonces } from './session/nonces.ts'
import { Sessions } from './session/sessions.ts'
import { FreeDisk } from './store/free-disk.ts'
import { Retention } from './store/retention.ts'
import { Store } from './store/store.ts'
import { UsageCounter } from './usage.ts'
import { Volumes } from './weights/volumes.ts'
import { realWorld } from './weights/world.ts'

export const GATEWAY_GID = 64101
/** How often the TPM's counter and chain are held against the database between sessions. */
const CHECK_MS = 30_000

/** Lies beside the database when `sealed restore` has put it there. */
const RESTORED_FILE = 'embassy.db.restored'

export interface Embassy {
  stop(): Promise<void>
}

export async function startEmbassy(deployment: Deployment, log: Log): Promise<Embassy> {
  const cleanup: (() => Promise<void>)[] = []
  const stop = async () => {
    for (const undo of cleanup.splice(0).reverse())
      await undo().catch((error: Error) => log('stop', { error: error.message }))
  }
  try {
    await start(deployment, log, cleanup)
    return { stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function start(
  deployment: Deployment,
  log: Log,
  cleanup: (() => Promise<void>)[],
): Promise<void> {
  const { id, runtime_dir: runtime, state_dir: state } = deployment
  const workloads = await loadWorkloads(deployment)
  const authorities = await loadAuthorities(deployment)
  const volumes = new Volumes(
    realWorld,
    { id, directory: join(runtime, 'weights') },
    workloads.flatMap(({ config }) => rootHashes(config)),
  )
  // Before anything is measured: a boot in which it cannot be had is left as it was.
  await volumes.look()
  for (const directory of ['embassy', 'relay', 'activations'])
    await mkdir(join(runtime, directory), { recursive: true, mode: 0o711 })
  await mkdir(state, { recursive: true, mode: 0o700 })

  const fleets = new Map<string, Fleet>()
  const states = () => statesOf(workloads, fleets)
  const metrics = createMetrics({ workloads: states, ready: () => status().ready })
  const { steps } = metrics
  const machine = await openMachine(
    deployment,
    {
      files: new KeyDirectory(join(runtime, 'keys')),
      configuration: measuredConfiguration(deployment, workloads),
      ...(await gatewayCertificate(deployment)),
    },
    metrics,
    (step) => cleanup.push(step),
  )
  const { boot, containers, pause, seal, unsealed } = machine
  if (unsealed !== undefined) log('NOTHING IS SEALED OR ATTESTED HERE', { reason: unsealed })
  const fatal = (code: string, reason: string) => {
    log('nothing more is served', { code, reason })
    process.exit(1)
  }
  const disk = new FreeDisk({
    directory: state,
    limitBytes: deployment.limits.disk_free_bytes,
    log,
  })
  await disk.start()
  cleanup.push(() => disk.stop())
  await removeParts(state)
  const database = join(state, 'embassy.db')
  const store = new Store(database, {
    onLost: ({ message }) => fatal('internal.error', `the store has ended: ${message}`),
    onFull: () => void disk.look(),
  })
  cleanup.push(() => store.close())
  let attested = await machine.attest()
  const keep = () =>
    store.run('keepDocument', {
      digest: attested.digest,
      document: canonicalize(attested.document),
    })
  await keep()

  const days = deployment.retention_days
  const usage = new UsageCounter({ store, days, log })
  usage.start()
  cleanup.push(() => usage.stop())
  const { origin } = boot.boot
  const witnesses = new Witnesses({ store, origin, witnesses: deployment.witnesses ?? [], log })
  cleanup.push(() => witnesses.stop())
  const ledger = new Ledger({
    store,
    tpm: machine.anchor(store),
    key: boot.ledgerKey,
    keySetDigest: boot.keySetDigest,
    boot: boot.boot,
    begun: new FileFlag(join(runtime, 'keys', 'log.begun')),
    restored: new FileFlag(join(state, RESTORED_FILE)),
    steps,
    onEnded: (closing) => usage.ended(closing),
    onCheckpoint: () => witnesses.notify(),
    onFatal: (error) => fatal(error.code, error.message),
  })
  await ledger.start()
  witnesses.notify()
  cleanup.push(() => ledger.stop())
  await seal.start()
  cleanup.push(() => seal.stop())
  await containers.sweep(id)
  // What a life of before has left open, in no container any more.
  await volumes.close('wanted')
  cleanup.push(() => volumes.close())
  await volumes.open()
  cleanup.push(() => containers.sweep(id))
  cleanup.push(() => machine.unmount())

  const sessions = new Sessions({
    workloads: new Map(workloads.map((workload) => [workload.config.name, workload])),
    authorities,
    transportKeys: boot.transportKeys,
    keySetDigest: boot.keySetDigest,
    metering: deployment.metering,
    store,
    nonces: new Nonces(store),
    open: deployment.api_keys === undefined,
    fleets,
    ledger,
    limits: deployment.limits,
    disk,
    document: () => attested.digest,
    steps,
    log,
  })
  const recovered = await sessions.recover()
  if (recovered > 0) log('sessions of an earlier life closed', { recovered })

  const relaySocket = join(runtime, 'embassy', 'relay.sock')
  const relayServer = await listenForCalls(relayCalls(sessions, steps), relaySocket, RELAY_UID)
  cleanup.push(() => relayServer.close())
  const relay = new RelaySupervisor({
    embassySocket: relaySocket,
    ingressSocket: join(runtime, 'relay', 'ingress.sock'),
    gatewayGid: GATEWAY_GID,
    relayUid: RELAY_UID,
    bodyBytes: deployment.limits.body_bytes,
    listenMs: deployment.limits.listen_ms,
    onLost: () => sessions.abortAll('relay.lost'),
    log,
  })
  await relay.start()
  cleanup.push(() => relay.stop())

  let recovering: Promise<void> | undefined
  const recoverSeal = () => {
    recovering ??= seal
      .recover()
      .then((breached) => {
        log('firewall process replaced', { breached: breached.length })
        for (const fleet of fleets.values()) fleet.retireLinks(breached)
      })
      .catch((error: Error) => log('firewall process does not start', { error: error.message }))
      .finally(() => {
        recovering = undefined
      })
    return recovering
  }
  if (pause) await containers.loadImage(pause.archive, pause.image)
  let firstIndex = 0
  for (const workload of workloads) {
    if (workload.archive !== undefined)
      await containers.loadImage(workload.archive, workload.config.image)
    const fleet = new Fleet({
      id,
      workload,
      replicas: workload.replicas,
      firstIndex,
      seal,
      containers,
      ...(unsealed && { unsealed }),
      pauseImage: pause?.image ?? '',
      mount: machine.mount,
      volume: (rootHash) => volumes.pathOf(rootHash),
      probeIntervalMs: deployment.probes.interval_ms,
      recoverSeal,
      ready: (link) => relay.reach(link),
      ...(workload.config.protocol === 'cooperative' && {
        hear: (link) => listenForWorkload(link, sessions),
      }),
      onLost: (replica, reason) => sessions.abortReplica(replica, reason),
      onEpochEnd: ({ id, begun }, drafts) => insist(ledger, () => ledger.end(id, begun, drafts)),
      steps,
      log,
    })
    firstIndex += workload.replicas
    fleets.set(workload.config.name, fleet)
    cleanup.push(() => fleet.stop())
    await fleet.start()
  }
  cleanup.push(() => sessions.abortAll('embassy.restarted'))

  const holding = setInterval(
    () =>
      void ledger.check().catch((error: Error) => log('the TPM fails', { error: error.message })),
    CHECK_MS,
  )
  const rotation = setInterval(async () => {
    if (!(await boot.transportKeys.refresh())) return
    attested = await machine.attest()
    await keep()
    log('transport key rotated', { document: attested.digest })
  }, 60_000)
  const retention = new Retention({ store, days, document: () => attested.digest, log })
  retention.start()
  cleanup.push(() => retention.stop())
  const pruning = setInterval(() => void store.run('pruneNonces', undefined), 300_000)
  cleanup.push(async () => {
    clearInterval(holding)
    clearInterval(rotation)
    clearInterval(pruning)
  })
  const status = () =>
    statusOf(workloads, fleets, [
      ...(disk.isLow ? ['the disk is full'] : []),
      ...(ledger.able ? [] : ['the log cannot be proven']),
    ])
  const app = gatewayApp({
    document: () => attested.document,
    challenges: machine.challenges,
    store,
    ledger,
    status,
    overview: (note) =>
      overviewOf({
        status: status(),
        workloads,
        states: states(),
        metering: deployment.metering,
        attested,
        note,
      }),
    metrics: metrics.text,
    origin,
  })
  const admin = adminApp({ store, ledger, disk, usage, state, database })
  const adminServer = await listen(admin, join(runtime, 'embassy', 'admin.sock'))
  cleanup.push(() => adminServer.close())
  const gatewayServer = await listen(app, join(runtime, 'embassy', 'gateway.sock'), GATEWAY_GID)
  cleanup.push(() => gatewayServer.close())
}

async function loadAuthorities(deployment: Deployment): Promise<Map<string, Uint8Array>> {
  const authorities = new Map<string, Uint8Array>()
  for (const { id, name, public_key } of deployment.authorities) {
    const key = fromBase64url(public_key)
    if (key.length !== 32 || (await authorityId(key)) !== id)
      throw new SealedError(
        'config.invalid',
        `authority ${name}: its id is not that of its public key`,
      )
    authorities.set(id, key)
  }
  return authorities
}

/** The gateway's certificate, issued from the request that it left, and the digest that goes into the key set. */
async function gatewayCertificate({
  gateway,
  runtime_dir,
}: Deployment): Promise<{ tlsSpkiDigest?: string }> {
  const { tls } = gateway
  if (tls.mode === 'off') return {}
  if (tls.mode === 'files')
    return { tlsSpkiDigest: spkiDigest(await readFile(tls.certificate, 'utf8')) }
  const directory = join(runtime_dir, 'tls')
  const request = await readFile(join(directory, 'request.csr'), 'utf8').catch(() => {
    throw new SealedError(
      'config.invalid',
      `no certificate request in ${directory}: the gateway's key is made before the embassy starts`,
    )
  })
  const { chain, spkiDigest: digest } = issueCertificate(request, tls.names)
  await writeFile(join(directory, 'cert.pem.part'), chain, { mode: 0o644 })
  await rename(join(directory, 'cert.pem.part'), join(directory, 'cert.pem'))
  return { tlsSpkiDigest: digest }
}
