// verify: judges a receipt offline, years later if need be, against whatever of the session's bytes was kept.
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  type AttestationDocument,
  type Bytes,
  decodeReceipt,
  fromBase64url,
  fromUtf8,
  type Receipt,
  type ReceiptInput,
  SealedError,
  unspliceReceipt,
  verifyReceipt,
} from '@sealed/protocol'
import { fetchDocument, fetchReceipt } from '../../receipts.ts'
import { readDocument } from '../document-source.ts'
import { savedFile } from '../evidence-folder.ts'
import { type Format, formatOf, printVerdict } from '../format.ts'
import { type Io, readStdin } from '../io.ts'
import { type Found, findReceipt, fromLine } from '../receipt-source.ts'
import { loadPolicy, openGateway } from '../settings.ts'
import { type Exit, UsageError } from '../usage.ts'
import { exitOf } from '../verdict-lines.ts'

export interface VerifyFlags {
  document?: string
  format?: Format
  json?: boolean
  nonce?: string
  policy?: string
  proof?: string
  request?: string
  response?: string
  salt?: string
  sent?: string
  url?: string
}

type Kept = Found & { receipt: string }

const RECEIPT_TEXT = /^[A-Za-z0-9_-]{64,}$/
const RECEIPT_ID = /^[0-9a-f]{32}$/

export async function verifyCommand(
  io: Io,
  given: string | undefined,
  flags: VerifyFlags,
): Promise<Exit> {
  const format = formatOf(flags)
  const policy = await loadPolicy(flags.policy, io)
  const folder = await withFolder(io, given ?? '-', flags)
  const kept = await readReceipt(io, folder.receipt, flags.url)
  const document = await findDocument(io, kept.receipt, folder.flags)
  const input = await receiptInput(io, kept, document, folder.flags)
  const now = io.now()
  const verdict = await verifyReceipt(input, policy, now)
  await printVerdict(io, format, verdict, policy, now, decoded(kept.receipt))
  return exitOf(verdict)
}

/** A folder made by --save stands for all its files; flags still win over them. */
async function withFolder(io: Io, given: string, flags: VerifyFlags) {
  const path = resolve(io.cwd, given)
  const folder = given !== '-' && (await stat(path).catch(() => undefined))?.isDirectory()
  if (!folder) return { receipt: given, flags }
  const receipt = await savedFile(path, 'receipt')
  if (!receipt)
    throw new UsageError(
      `${given} holds no receipt.txt; a folder made by --save has one once its session has a receipt`,
      'receipt',
    )
  const all: VerifyFlags = { ...flags }
  const salt = flags.salt === undefined ? await savedFile(path, 'salt') : undefined
  if (salt !== undefined) all.salt = fromUtf8(await readFile(salt)).trim()
  for (const kind of ['request', 'response', 'document', 'proof'] as const) {
    const saved = flags[kind] ?? (await savedFile(path, kind))
    if (saved !== undefined) all[kind] = saved
  }
  return { receipt, flags: all }
}

async function readReceipt(io: Io, given: string, url: string | undefined): Promise<Kept> {
  const found = await lookAt(io, given)
  const { id, receipt } = found
  if (receipt !== undefined) return { ...found, receipt }
  if (id === undefined || !RECEIPT_ID.test(id))
    throw new UsageError(
      `there is no file ${given.slice(0, 80)}, and it is neither a receipt in base64url nor a receipt’s id (32 digits of lower-case hex)`,
      'receipt',
    )
  if (url === undefined)
    throw new UsageError(
      `${id} is a receipt’s id: give --url of the gateway that keeps the receipt`,
      'receipt',
    )
  return { ...found, receipt: await fetchReceipt(gatewayAt(io, url), id) }
}

async function lookAt(io: Io, given: string): Promise<Found> {
  if (given === '-') {
    if (io.stdin.isTTY)
      throw new UsageError(
        'give a receipt: a file, a folder made by --save, the text itself, its id, or pipe it in',
        'receipt',
      )
    return findReceipt(await readStdin(io), 'standard input')
  }
  const file = await readFile(resolve(io.cwd, given)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENAMETOOLONG' || error.code === 'ENOTDIR')
      return undefined
    throw new UsageError(`cannot read the receipt: ${error.message}`, 'receipt')
  })
  if (file) return findReceipt(new Uint8Array(file), given)
  const line = fromLine(given.trim())
  if (line.receipt === undefined || RECEIPT_TEXT.test(line.receipt)) return line
  return { id: line.receipt }
}

const gatewayAt = (io: Io, url: string) =>
  openGateway({ url, ...(io.fetch && { fetch: io.fetch }) })

async function findDocument(
  io: Io,
  receipt: string,
  flags: VerifyFlags,
): Promise<AttestationDocument> {
  if (flags.document !== undefined)
    return readDocument(await readInput(io, flags.document, 'document'), flags.document)
  if (flags.url === undefined)
    throw new UsageError(
      'give the attestation document with --document FILE, or --url of a gateway that serves it',
      'document',
    )
  return fetchDocument(gatewayAt(io, flags.url), decodeReceipt(receipt).document)
}

async function receiptInput(
  io: Io,
  kept: Kept,
  document: AttestationDocument,
  flags: VerifyFlags,
): Promise<ReceiptInput> {
  const salt = flags.salt ?? kept.salt
  if (flags.response !== undefined && salt === undefined)
    throw new UsageError(
      '--response can be checked only together with --salt (header sealed-salt of the answer)',
      'salt',
    )
  const request =
    flags.request === undefined ? undefined : await readInput(io, flags.request, 'request')
  const first = decoded(kept.receipt)?.leaf.statements[0]
  const plain = first?.type === 'request.received' && first.door === 'plain'
  const output = await outputOf(io, kept, flags.response)
  return {
    receipt: kept.receipt,
    document,
    ...(request && (plain ? { input: request } : { request })),
    ...(output && { output }),
    ...(salt !== undefined && { salt: parseSalt(salt) }),
    ...(flags.nonce !== undefined && { nonce: flags.nonce }),
    ...(flags.proof !== undefined && { proof: await readText(io, flags.proof, 'proof') }),
    ...(flags.sent !== undefined && { sentMs: parseTime(flags.sent) }),
  }
}

/** The workload's bytes: of a file given as --response the receipt is taken out where it was stapled in. */
async function outputOf(
  io: Io,
  kept: Kept,
  response: string | undefined,
): Promise<Bytes | undefined> {
  if (response !== undefined) {
    const bytes = await readInput(io, response, 'response')
    const spliced = unspliceReceipt(bytes)
    return spliced?.receipt === kept.receipt ? new Uint8Array(spliced.output) : bytes
  }
  // What came with an aborted session's receipt is the gateway's error, not a workload's output.
  const aborted = decoded(kept.receipt)?.leaf.statements.at(-1)?.type === 'session.aborted'
  return aborted ? undefined : kept.output
}

/** A receipt that cannot be read fails, whatever else is given; here it only has nothing to say. */
function decoded(receipt: string): Receipt | undefined {
  try {
    return decodeReceipt(receipt)
  } catch {
    return undefined
  }
}

async function readInput(io: Io, path: string, what: string): Promise<Bytes> {
  try {
    return new Uint8Array(await readFile(resolve(io.cwd, path)))
  } catch (cause) {
    throw new UsageError(`cannot read the ${what}: ${(cause as Error).message}`, what)
  }
}

async function readText(io: Io, path: string, what: string): Promise<string> {
  const bytes = await readInput(io, path, what)
  try {
    return fromUtf8(bytes)
  } catch {
    throw new UsageError(`the ${what} is not text`, what)
  }
}

function parseTime(text: string): number {
  const ms = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isSafeInteger(ms)) return ms
  throw new UsageError('--sent is a time in UTC, as in 2026-10-01T12:00:00Z', 'sent')
}

function parseSalt(text: string): Bytes {
  try {
    const salt = fromBase64url(text)
    if (salt.length === 32) return salt
  } catch (error) {
    if (!(error instanceof SealedError)) throw error
  }
  throw new UsageError('--salt is 32 bytes in base64url without padding', 'salt')
}
