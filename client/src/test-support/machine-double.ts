// A machine for tests: keys, measured configuration, attestation document, and receipts for statements that a test
// makes up. Everything it signs goes through protocol's own verifier.
import {
  type AttestationAnswer,
  type AttestationDocument,
  type Bytes,
  CONFIGURATION_PCR,
  type Configuration,
  canonicalBytes,
  checkpointBody,
  documentDigest,
  encodeReceipt,
  extendedOnce,
  fromHex,
  importTransportKey,
  KEY_SET_PCR,
  type KeySet,
  keySetDigest,
  leafBytes,
  leafHash,
  logOrigin,
  merklePath,
  merkleRoot,
  type Policy,
  QUOTED_PCRS,
  quoteBinding,
  randomBytes,
  type Statement,
  sha256,
  signNote,
  type TransportKeyRecord,
  toBase64url,
  toHex,
  transportKeyMessage,
  utf8,
} from '@sealed/protocol'
import { createTpm, RESET_COUNT, RESTART_COUNT, type TpmDouble } from './tpm-double.ts'

export const NOW = Date.UTC(2026, 9, 1, 12)
const HOUR_MS = 3_600_000
const ED25519 = 'Ed25519'
const OAEP = {
  name: 'RSA-OAEP',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: Uint8Array.of(1, 0, 1),
}

export const hexOf = (byte: number): string => byte.toString(16).padStart(2, '0').repeat(32)

export const workloadOf = (name: string, byte: number): Configuration['workloads'][number] => ({
  activations: 'safetensors',
  digest: hexOf(byte),
  egress: [],
  image: hexOf(byte + 1),
  models: [`${name}-model`],
  name,
  prefix_cache: 'off',
  seal_policy: 'request',
})

export interface MachineOptions {
  workloads?: Configuration['workloads']
  authorities?: Configuration['authorities']
  /** Validity of the one transport key, around NOW. */
  validity?: { not_before_ms: number; not_after_ms: number }
}

export class MachineDouble {
  readonly document: AttestationDocument
  readonly digest: string
  readonly transportPrivate: CryptoKey
  readonly policy: Policy
  readonly #tpm: TpmDouble
  readonly #ledger: CryptoKeyPair
  readonly #ledgerPublic: Bytes
  readonly #pcrs: Map<number, Bytes>
  readonly #k: Bytes

  private constructor(parts: {
    document: AttestationDocument
    digest: string
    k: Bytes
    ledger: CryptoKeyPair
    ledgerPublic: Bytes
    pcrs: Map<number, Bytes>
    tpm: TpmDouble
    transportPrivate: CryptoKey
  }) {
    this.document = parts.document
    this.digest = parts.digest
    this.transportPrivate = parts.transportPrivate
    this.#tpm = parts.tpm
    this.#ledger = parts.ledger
    this.#ledgerPublic = parts.ledgerPublic
    this.#pcrs = parts.pcrs
    this.#k = parts.k
    this.policy = {
      ak_roots: [parts.tpm.rootDigest],
      authorities: [],
      evidence: ['tpm'],
      images: [],
      metering: 'required',
      name: 'test',
      seal_policies: ['request'],
      version: 1,
      workloads: parts.document.configuration.workloads.map(({ digest }) => digest),
    }
  }

  static async create(options: MachineOptions = {}): Promise<MachineDouble> {
    const tpm = await createTpm(NOW)
    const ledger = (await crypto.subtle.generateKey(ED25519, true, ['sign'])) as CryptoKeyPair
    const ledgerPublic = new Uint8Array(await crypto.subtle.exportKey('raw', ledger.publicKey))
    const keySet: KeySet = { ledger_key: toBase64url(ledgerPublic), version: 1 }
    const k = await keySetDigest(keySet)
    const configuration: Configuration = {
      attribution: 'cosine-max',
      authorities: options.authorities ?? [],
      metering: 'required',
      version: 1,
      workloads: options.workloads ?? [workloadOf('demo', 0xa0)],
    }
    const pcrs = new Map(QUOTED_PCRS.map((index) => [index, new Uint8Array(32) as Bytes]))
    pcrs.set(KEY_SET_PCR, await extendedOnce(k))
    pcrs.set(CONFIGURATION_PCR, await extendedOnce(await sha256(canonicalBytes(configuration))))
    const pair = (await crypto.subtle.generateKey(OAEP, true, [
      'encrypt',
      'decrypt',
    ])) as CryptoKeyPair
    const nothing = await sha256(new Uint8Array(0))
    const document: AttestationDocument = {
      ak: { chain: tpm.chain.map(toBase64url), public: toBase64url(tpm.public) },
      configuration,
      key_set: keySet,
      pcrs: [...pcrs].map(([index, value]) => ({ digest: toHex(value), index })),
      quote: await tpm.quote(await quoteBinding('keys', k, nothing), pcrs),
      started_ms: NOW - HOUR_MS,
      transport_keys: [await transportRecord(pair.publicKey, ledger, options.validity)],
      version: 1,
    }
    const digest = await documentDigest(document)
    const transportPrivate = pair.privateKey
    return new MachineDouble({
      document,
      digest,
      k,
      ledger,
      ledgerPublic,
      pcrs,
      tpm,
      transportPrivate,
    })
  }

  /** What `GET /v1/attestation?nonce=` answers: the nonce beside another caller's in one tree. */
  async answer(nonce: Bytes): Promise<AttestationAnswer> {
    const leaves = [await leafHash(randomBytes(32)), await leafHash(nonce)]
    const binding = await quoteBinding('challenge', this.#k, await merkleRoot(leaves))
    const path = (await merklePath(leaves, 1)).map(toHex)
    const quote = await this.#tpm.quote(binding, this.#pcrs)
    return { challenge: { index: 1, path, quote, size: 2 }, document: this.document }
  }

  /** A receipt for these statements, as the second leaf of a log of two. */
  async receipt(session: string, statements: Statement[], document = this.digest): Promise<string> {
    const leaf = { kind: 'session', session, statements, version: 1 } as const
    const hashes = [await leafHash(randomBytes(16)), await leafHash(leafBytes(leaf))]
    const checkpoint = await this.checkpoint(
      2,
      await merkleRoot(hashes),
      statements.at(-1)!.utc_ms + 5,
    )
    const body = checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1)
    const binding = await quoteBinding('checkpoint', this.#k, await sha256(utf8(body)))
    return encodeReceipt({
      checkpoint,
      document,
      index: 1,
      leaf,
      path: (await merklePath(hashes, 1)).map(toBase64url),
      quote: await this.#tpm.quote(binding, this.#pcrs),
      version: 1,
    })
  }

  /** Of this boot's log. */
  get origin(): string {
    return logOrigin(this.#k)
  }

  /** A checkpoint of its log, signed. */
  async checkpoint(size: number, root: Bytes, utcMs = NOW): Promise<string> {
    const body = checkpointBody({
      origin: this.origin,
      size,
      root,
      state: fromHex(hexOf(1)),
      counter: BigInt(6 + size),
      utcMs,
      akName: this.#tpm.name,
      resetCount: RESET_COUNT,
      restartCount: RESTART_COUNT,
    })
    const sign = async (bytes: Uint8Array) =>
      new Uint8Array(await crypto.subtle.sign(ED25519, this.#ledger.privateKey, bytes as Bytes))
    return signNote(body, this.origin, this.#ledgerPublic, sign)
  }
}

async function transportRecord(
  publicKey: CryptoKey,
  ledger: CryptoKeyPair,
  validity = { not_before_ms: NOW - HOUR_MS, not_after_ms: NOW + HOUR_MS },
): Promise<TransportKeyRecord> {
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', publicKey))
  const { id } = await importTransportKey(spki)
  const record = { id, ...validity, spki: toBase64url(spki), version: 1 } as const
  const signature = await crypto.subtle.sign(
    ED25519,
    ledger.privateKey,
    transportKeyMessage(record),
  )
  return { ...record, signature: toBase64url(new Uint8Array(signature)) }
}
