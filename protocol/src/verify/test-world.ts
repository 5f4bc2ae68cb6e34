// A whole machine for the tests of this room: keys, measured configuration, attestation document, receipts.
// It tells the truth unless a test hands it lies, and then signs those, so that each check is shown to stand alone.
import type { AttestationAnswer, Configuration, QuotedDocument, TeeReport } from '../attestation.ts'
import { documentDigest } from '../attestation.ts'
import {
  type Bytes,
  fromBase64url,
  fromHex,
  randomBytes,
  sha256,
  sha256Hex,
  toBase64url,
  toHex,
  utf8,
} from '../bytes.ts'
import { type Checkpoint, checkpointBody, logOrigin, signNote } from '../checkpoint.ts'
import { authorityId } from '../instructions.ts'
import { canonicalBytes } from '../json.ts'
import {
  CONFIGURATION_PCR,
  KEY_SET_PCR,
  keySetDigest,
  QUOTED_PCRS,
  quoteBinding,
  transportKeyMessage,
} from '../key-set.ts'
import { leafHash, merklePath, merkleRoot } from '../merkle.ts'
import type { Image, Policy } from '../policy.ts'
import { extendedOnce } from '../quote.ts'
import { leafBytes, type QuotedReceipt } from '../receipt.ts'
import type { Statement } from '../statement.ts'
import { bootEvents, KERNEL, type LoggedEvent, logBytes, measure, UKI } from './test-log.ts'
import { type AttestFields, createAk, issueChain, quoteBy, type TestAk } from './test-tpm.ts'

/** Public key of the authority that the machine admits; nobody signs with it here. */
const AUTHORITY = new Uint8Array(32)
export const NOW = Date.UTC(2026, 9, 1, 12)
export const HOUR_MS = 3_600_000
const OAEP = {
  name: 'RSA-OAEP',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: Uint8Array.of(1, 0, 1),
}
export const hexOf = (byte: number): string => byte.toString(16).padStart(2, '0').repeat(32)

/** What a test makes the machine say. Each is applied before the signature that covers it. */
export interface Lies {
  /** What the firmware measures and logs. */
  boot?: (events: LoggedEvent[]) => void
  /** The log as it is shown, where it is another than was measured. */
  log?: (events: LoggedEvent[]) => void
  /** PCR values that the TPM holds and the document lists. */
  pcrs?: (pcrs: Map<number, Bytes>) => void
  document?: (document: QuotedDocument) => void
  documentQuote?: Partial<AttestFields>
  /** Who signs the document's quote, where it is another than the document names. */
  documentAk?: TestAk
  statements?: (statements: Statement[]) => void
  checkpoint?: (checkpoint: Checkpoint) => void
  receiptQuote?: Partial<AttestFields>
  receiptAk?: TestAk
}

export interface World {
  ak: TestAk
  chain: Bytes[]
  k: Bytes
  ledger: CryptoKeyPair
  transport: CryptoKeyPair
  configuration: Configuration
  document: QuotedDocument
  policy: Policy
  /** Signs with the ledger key. */
  sign: (bytes: Uint8Array) => Promise<Bytes>
}

export async function createWorld(kind: 'ecdsa' | 'rsassa' = 'ecdsa'): Promise<World> {
  const ak = await createAk(kind)
  const chain = await issueChain(ak.publicKey, NOW)
  const ledger = (await crypto.subtle.generateKey('Ed25519', true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  const sign = async (bytes: Uint8Array) =>
    new Uint8Array(await crypto.subtle.sign('Ed25519', ledger.privateKey, bytes as Bytes))
  const ledgerKey = new Uint8Array(await crypto.subtle.exportKey('raw', ledger.publicKey))
  const key_set = { ledger_key: toBase64url(ledgerKey), version: 1 } as const
  const transport = (await crypto.subtle.generateKey(OAEP, true, [
    'encrypt',
    'decrypt',
  ])) as CryptoKeyPair
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', transport.publicKey))
  const validity = { not_after_ms: NOW + HOUR_MS, not_before_ms: NOW - HOUR_MS }
  const record = {
    id: await sha256Hex(spki),
    ...validity,
    spki: toBase64url(spki),
    version: 1,
  } as const
  const signature = toBase64url(await sign(transportKeyMessage(record)))
  const configuration: Configuration = {
    attribution: 'cosine-max-1',
    authorities: [{ id: await authorityId(AUTHORITY), public_key: toBase64url(AUTHORITY) }],
    metering: 'required',
    version: 1,
    workloads: [
      {
        activations: 'safetensors',
        digest: hexOf(0xa0),
        egress: [],
        image: hexOf(0xa1),
        name: 'demo',
        prefix_cache: 'off',
        seal_policy: 'request',
      },
    ],
  }
  const unsigned: QuotedDocument = {
    ak: { chain: chain.map(toBase64url), public: toBase64url(ak.public) },
    configuration,
    key_set,
    pcrs: [],
    quote: { attest: '', signature: '' },
    started_ms: NOW - HOUR_MS,
    transport_keys: [{ ...record, signature }],
    version: 1,
  }
  const k = await keySetDigest(key_set)
  const policy: Policy = {
    ak_roots: [await sha256Hex(chain.at(-1)!)],
    authorities: [await authorityId(AUTHORITY)],
    evidence: ['tpm', 'event-log'],
    images: [await bootedImage()],
    metering: 'required',
    name: 'test',
    seal_policies: ['request'],
    version: 1,
    workloads: [hexOf(0xa0)],
  }
  const world = { ak, chain, k, ledger, transport, configuration, policy, sign, document: unsigned }
  return { ...world, document: await makeDocument(world) }
}

/** The same machine, with a report of its processor in the document. */
export async function reported(world: World, tee_report: TeeReport): Promise<World> {
  const other = { ...world, document: { ...world.document, tee_report } }
  return { ...other, document: await makeDocument(other) }
}

/** Reference values of the image that this machine boots. */
export async function bootedImage(events = bootEvents(), pinned = [0, 4, 9, 11]): Promise<Image> {
  const pcrs = new Map<number, Bytes>()
  await measure(events, pcrs)
  const rows = pinned.map((index) => ({ digests: [toHex(pcrs.get(index)!)], index }))
  return { name: 'sealed', pcrs: rows, uki: [UKI, KERNEL], version: '1' }
}

const told = (lie?: (events: LoggedEvent[]) => void): LoggedEvent[] => {
  const events = bootEvents()
  lie?.(events)
  return events
}

async function measuredPcrs(world: World, lies: Lies = {}): Promise<Map<number, Bytes>> {
  const pcrs = new Map(QUOTED_PCRS.map((index) => [index, new Uint8Array(32) as Bytes]))
  await measure(told(lies.boot), pcrs)
  const measured = await sha256(canonicalBytes(world.configuration))
  pcrs.set(CONFIGURATION_PCR, await extendedOnce(measured))
  pcrs.set(KEY_SET_PCR, await extendedOnce(world.k))
  return pcrs
}

/** A document with its quote. */
export async function makeDocument(world: World, lies: Lies = {}): Promise<QuotedDocument> {
  const pcrs = await measuredPcrs(world, lies)
  lies.pcrs?.(pcrs)
  const document = structuredClone(world.document)
  document.configuration = structuredClone(world.configuration)
  document.event_log = toBase64url(await logBytes(told(lies.log ?? lies.boot)))
  document.pcrs = [...pcrs].map(([index, value]) => ({ digest: toHex(value), index }))
  const report = fromBase64url(document.tee_report?.report ?? '')
  const extraData = await quoteBinding('keys', world.k, await sha256(report))
  document.quote = await quoteBy(lies.documentAk ?? world.ak, {
    extraData,
    pcrs,
    ...lies.documentQuote,
  })
  lies.document?.(document)
  return document
}

/** The answer to a nonce: it stands beside two others in one tree. */
export async function makeChallenge(
  world: World,
  nonce: Uint8Array,
  quote: Partial<AttestFields> = {},
): Promise<NonNullable<AttestationAnswer['challenge']>> {
  const others = [randomBytes(32), randomBytes(32)]
  const leaves = await Promise.all([...others, nonce].map(leafHash))
  const extraData = await quoteBinding('challenge', world.k, await merkleRoot(leaves))
  const pcrs = await measuredPcrs(world)
  return {
    index: 2,
    path: (await merklePath(leaves, 2)).map(toHex),
    quote: await quoteBy(world.ak, { extraData, pcrs, ...quote }),
    size: 3,
  }
}

/** The same machine, booted with another configuration: measured, listed and quoted as it should be. */
export async function reconfigured(
  world: World,
  change: (configuration: Configuration) => void,
): Promise<World> {
  const configuration = structuredClone(world.configuration)
  change(configuration)
  const other = { ...world, configuration }
  return { ...other, document: await makeDocument(other) }
}

/** The receipt for a session as sixth leaf of a log of eleven, and the document it names. */
export async function makeReceipt(
  world: World,
  statements: readonly Statement[],
  lies: Lies = {},
): Promise<{ document: QuotedDocument; receipt: QuotedReceipt }> {
  const document =
    lies.document || lies.pcrs || lies.boot || lies.log || lies.documentQuote || lies.documentAk
      ? await makeDocument(world, lies)
      : world.document
  const said = structuredClone(statements) as Statement[]
  lies.statements?.(said)
  const leaf = {
    kind: 'session',
    session: toHex(randomBytes(16)),
    statements: said,
    version: 1,
  } as const
  const hashes = await Promise.all(Array.from({ length: 11 }, (_, i) => leafHash(Uint8Array.of(i))))
  hashes[5] = await leafHash(leafBytes(leaf))
  const checkpoint: Checkpoint = {
    origin: logOrigin(world.k),
    size: hashes.length,
    root: await merkleRoot(hashes),
    state: fromHex(hexOf(1)),
    counter: 9n,
    utcMs: statements.at(-1)!.utc_ms + 5,
    akName: toHex(world.ak.name),
    resetCount: 7,
    restartCount: 1,
  }
  lies.checkpoint?.(checkpoint)
  const body = checkpointBody(checkpoint)
  const ledgerKey = new Uint8Array(await crypto.subtle.exportKey('raw', world.ledger.publicKey))
  const extraData = await quoteBinding('checkpoint', world.k, await sha256(utf8(body)))
  const pcrs = await measuredPcrs(world, lies)
  lies.pcrs?.(pcrs)
  const receipt: QuotedReceipt = {
    checkpoint: await signNote(body, checkpoint.origin, ledgerKey, world.sign),
    document: await documentDigest(document),
    index: 5,
    leaf,
    path: (await merklePath(hashes, 5)).map(toBase64url),
    quote: await quoteBy(lies.receiptAk ?? world.ak, { extraData, pcrs, ...lies.receiptQuote }),
    version: 1,
  }
  return { document, receipt }
}
