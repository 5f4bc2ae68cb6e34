// One boot of the embassy: its keys, what they are bound to in the TPM, and its attestation document. Keys survive a
// restart of the process and never a reboot; what is measured is measured once, before anything else runs.
import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import {
  type AttestationDocument,
  attestationDocumentSchema,
  type Bytes,
  CONFIGURATION_PCR,
  type Configuration,
  canonicalBytes,
  canonicalize,
  check,
  documentDigest,
  equal,
  extendedOnce,
  fromBase64,
  fromBase64url,
  isLaunchValue,
  KEY_SET_PCR,
  type KeySet,
  keySetDigest,
  keySetSchema,
  LAUNCH_PCR,
  type Launch,
  launchMisfit,
  logOrigin,
  parseCanonical,
  QUOTED_PCRS,
  quoteBinding,
  reportData,
  SealedError,
  sha256,
  type TeeReport,
  teeReportSchema,
  toBase64url,
  toHex,
} from '@sealed/protocol'
import { carriedBy, type Tee } from './attestation/tee.ts'
import type { KeyDirectory } from './keys/key-files.ts'
import { generateLedgerKey, type LedgerKey, ledgerKey } from './keys/ledger-key.ts'
import { TransportKeys } from './keys/transport-keys.ts'
import type { Boot } from './store/step.ts'
import type { Tpm } from './tpm/index.ts'

export interface BootDeps {
  tpm: Tpm
  files: KeyDirectory
  configuration: Configuration
  /** SHA-256 of the gateway's TLS public key, where it has one. */
  tlsSpkiDigest?: string
  /** PEM file with the certificates above the attestation key's. */
  chainPath: string
  /** How the workload was chosen, where that was when the machine was started. */
  launch?: Launch
  /** The boot's event log, where there is one. */
  eventLog?: Bytes
  /** The processor, where it makes reports. */
  tee?: Tee
}

export interface BootState {
  ledgerKey: LedgerKey
  transportKeys: TransportKeys
  keySet: KeySet
  keySetDigest: Bytes
  boot: Boot
  teeReport?: TeeReport
}

const LEDGER_FILE = 'ledger.pem'
const BOOT_FILE = 'boot.json'
const TEE_FILE = 'tee.json'

/** Loads this boot's keys, or makes and measures them when the TPM says that this is a new boot. */
export async function startBoot(deps: BootDeps): Promise<BootState> {
  const { tpm, files, configuration, tlsSpkiDigest } = deps
  await requireLaunch(deps)
  await files.create()
  const { resetCount, restartCount } = await tpm.clock()
  const akName = toHex(tpm.ak.name)
  const thisBoot = `${akName} ${resetCount}`
  const measuredConfiguration = await sha256(canonicalBytes(configuration))
  const { key, keySet, k } = await openKeys(files, thisBoot, tlsSpkiDigest, {
    before: () => refuseMeasured(tpm),
    after: async (measured) => {
      await tpm.extend(KEY_SET_PCR, measured)
      await tpm.extend(CONFIGURATION_PCR, measuredConfiguration)
    },
  })
  await requireMeasured(tpm, KEY_SET_PCR, k, 'the key set')
  await requireMeasured(tpm, CONFIGURATION_PCR, measuredConfiguration, 'the configuration')
  const transportKeys = new TransportKeys(key, files)
  await transportKeys.refresh()
  const teeReport = await reportOfBoot(deps, k)
  return {
    ...(teeReport && { teeReport }),
    ledgerKey: key,
    transportKeys,
    keySet,
    keySetDigest: k,
    boot: { origin: logOrigin(k), akName, resetCount, restartCount },
  }
}

/** The ledger key and key set of the boot of this name: what is there, or new ones, around which `measure` is called. */
export async function openKeys(
  files: KeyDirectory,
  thisBoot: string,
  tlsSpkiDigest: string | undefined,
  measure?: { before(): Promise<void>; after(keySetDigest: Bytes): Promise<void> },
): Promise<{ key: LedgerKey; keySet: KeySet; k: Bytes }> {
  const saved = await files.read(BOOT_FILE)
  const known = saved !== undefined && (JSON.parse(saved) as { boot: string }).boot === thisBoot
  let pem = known ? await files.read(LEDGER_FILE) : undefined
  let keySet: KeySet
  if (known && pem !== undefined) {
    keySet = check(
      keySetSchema,
      parseCanonical((JSON.parse(saved) as { key_set: string }).key_set),
      'key set',
    )
  } else {
    await measure?.before()
    await files.clear()
    pem = generateLedgerKey().export({ type: 'pkcs8', format: 'pem' }) as string
    keySet = {
      ledger_key: toBase64url(ledgerKey(createPrivateKey(pem)).publicKey),
      ...(tlsSpkiDigest !== undefined && { tls_spki_digest: tlsSpkiDigest }),
      version: 1,
    }
    await files.write(LEDGER_FILE, pem)
    await files.write(
      BOOT_FILE,
      JSON.stringify({ boot: thisBoot, key_set: new TextDecoder().decode(canonicalBytes(keySet)) }),
    )
    await measure?.after(await keySetDigest(keySet))
  }
  if (keySet.tls_spki_digest !== tlsSpkiDigest)
    throw new SealedError(
      'config.invalid',
      'the gateway’s TLS key is not the one measured at boot: restart the machine',
    )
  return { key: ledgerKey(createPrivateKey(pem)), keySet, k: await keySetDigest(keySet) }
}

/** The report of this boot: kept beside the keys, since hosts answer few requests. Asked for anew when it is not theirs. */
async function reportOfBoot(
  { tee, tpm, files }: BootDeps,
  k: Uint8Array,
): Promise<TeeReport | undefined> {
  if (!tee) return undefined
  const data = await reportData(tpm.ak.public, k)
  const saved = await files.read(TEE_FILE)
  if (saved !== undefined) {
    const kept = check(teeReportSchema, parseCanonical(saved), 'TEE report')
    if (equal(carriedBy(kept.kind, fromBase64url(kept.report)), data)) return kept
  }
  const report = await tee.report(data)
  await files.write(TEE_FILE, canonicalize(report))
  return report
}

/** What was measured at the launch is what this embassy tells of it and runs: nothing is measured on top of another's. */
async function requireLaunch({ configuration, launch, tpm }: BootDeps): Promise<void> {
  const misfit = launch && launchMisfit(launch, configuration)
  if (misfit !== undefined) throw new SealedError('config.invalid', misfit)
  const value = (await tpm.readPcrs([LAUNCH_PCR])).get(LAUNCH_PCR)!
  if (!(await isLaunchValue(value, launch)))
    throw new SealedError(
      'config.invalid',
      `PCR ${LAUNCH_PCR} ${launch ? 'holds another launch than the one recorded' : 'was measured, and no launch is configured'}: nothing but a launch may be measured there, once a boot, so restart the machine`,
    )
}

/** A new key set may only be measured into PCRs that nothing was measured into. */
async function refuseMeasured(tpm: Tpm): Promise<void> {
  const values = await tpm.readPcrs([CONFIGURATION_PCR, KEY_SET_PCR])
  for (const [index, value] of values)
    if (value.some((byte) => byte !== 0))
      throw new SealedError(
        'boot.key_lost',
        `PCR ${index} was measured in this boot, but its keys are gone: restart the machine (a clone: stop and start again)`,
      )
}

async function requireMeasured(
  tpm: Tpm,
  index: number,
  measured: Uint8Array,
  what: string,
): Promise<void> {
  const value = (await tpm.readPcrs([index])).get(index)!
  if (!equal(value, await extendedOnce(measured)))
    throw new SealedError(
      'config.invalid',
      `PCR ${index} holds another measurement than ${what}: it changed since boot, so restart the machine (a clone: stop and start again)`,
    )
}

/** Makes the attestation document: PCR values, a quote bound to the key set, and the certificate chain. */
export async function attest(
  state: BootState,
  deps: BootDeps,
): Promise<{ document: AttestationDocument; digest: string }> {
  const { tpm, configuration, chainPath, eventLog, launch } = deps
  const report = fromBase64url(state.teeReport?.report ?? '')
  const extraData = await quoteBinding('keys', state.keySetDigest, await sha256(report))
  const quote = await tpm.quote(extraData, QUOTED_PCRS)
  const pcrs = await tpm.readPcrs(QUOTED_PCRS)
  const above = pemBlocks(await readFile(chainPath, 'utf8'))
  const document: AttestationDocument = {
    ak: {
      chain: [tpm.ak.certificate, ...above].map((der) => toBase64url(der)),
      public: toBase64url(tpm.ak.public),
    },
    configuration,
    ...(eventLog && { event_log: toBase64url(eventLog) }),
    key_set: state.keySet,
    ...(launch && { launch }),
    pcrs: [...pcrs]
      .sort(([a], [b]) => a - b)
      .map(([index, value]) => ({ digest: toHex(value), index })),
    quote: { attest: toBase64url(quote.attest), signature: toBase64url(quote.signature) },
    started_ms: Date.now(),
    ...(state.teeReport && { tee_report: state.teeReport }),
    transport_keys: state.transportKeys.records(),
    version: 1,
  }
  check(attestationDocumentSchema, document, 'attestation document', 'internal.error')
  return { document, digest: await documentDigest(document) }
}

function pemBlocks(pem: string): Bytes[] {
  const blocks =
    pem.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => fromBase64(block.replace(/-----[A-Z ]+-----|\s/g, '')))
}
