// verify: judges a receipt offline, years later if need be, against whatever of the session's bytes was kept.
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  type AttestationDocument,
  type Bytes,
  decodeReceipt,
  fromBase64url,
  fromUtf8,
  parseAttestationDocument,
  type ReceiptInput,
  SealedError,
  unspliceReceipt,
  type Verdict,
  verifyReceipt,
} from '@sealed/protocol'
import { fetchDocument, fetchReceipt } from '../../receipts.ts'
import { savedFile } from '../evidence-folder.ts'
import { type Io, type Paint, painter, printJson, readStdin } from '../io.ts'
import { loadPolicy, openGateway } from '../settings.ts'
import { type Exit, UsageError } from '../usage.ts'
import { checkLines, exitOf, verdictSummary } from '../verdict-lines.ts'

export interface VerifyFlags {
  document?: string
  json?: boolean
  nonce?: string
  policy?: string
  request?: string
  response?: string
  salt?: string
  url?: string
}

const RECEIPT_TEXT = /^[A-Za-z0-9_-]{64,}$/
const RECEIPT_ID = /^[0-9a-f]{32}$/

/** A receipt, and the output where it came spliced into a plain answer. */
interface Given {
  receipt: string
  output?: Bytes
}

export async function verifyCommand(
  io: Io,
  given: string | undefined,
  flags: VerifyFlags,
): Promise<Exit> {
  const folder = await withFolder(io, given ?? '-', flags)
  const kept = await readReceipt(io, folder.receipt, flags.url)
  const document = await findDocument(io, kept.receipt, folder.flags)
  const input = await receiptInput(io, kept, document, folder.flags)
  const verdict = await verifyReceipt(input, await loadPolicy(flags.policy, io), io.now())
  if (flags.json) printJson(io, { verdict })
  else io.stdout.write(`${lines(verdict, painter(io, 'stdout')).join('\n')}\n`)
  return exitOf(verdict)
}

function lines(verdict: Verdict, paint: Paint): string[] {
  const { door, result, session, utc_ms, workload } = verdict.claims
  const at = utc_ms === undefined ? '' : `, received ${new Date(utc_ms).toISOString()}`
  const said =
    session && door ? [`session ${session} ${result}: ${door} door to ${workload}${at}`] : []
  return [...said, ...checkLines(verdict.checks, paint), verdictSummary(verdict, paint)]
}

/** A folder made by --save stands for all its files; flags still win over them. */
async function withFolder(io: Io, given: string, flags: VerifyFlags) {
  const path = resolve(io.cwd, given)
  const folder = given !== '-' && (await stat(path).catch(() => undefined))?.isDirectory()
  if (!folder) return { receipt: given, flags }
  const receipt = await savedFile(path, 'receipt')
  if (!receipt) throw new UsageError(`${given} holds no receipt.txt`, 'receipt')
  const all: VerifyFlags = { ...flags }
  const salt = flags.salt ?? (await savedFile(path, 'salt'))
  if (salt !== undefined) all.salt = flags.salt ?? fromUtf8(await readFile(salt)).trim()
  for (const kind of ['request', 'response', 'document'] as const) {
    const saved = flags[kind] ?? (await savedFile(path, kind))
    if (saved !== undefined) all[kind] = saved
  }
  return { receipt, flags: all }
}

async function readReceipt(io: Io, given: string, url: string | undefined): Promise<Given> {
  if (given === '-') return unstaple(await readStdin(io))
  const file = await readFile(resolve(io.cwd, given)).catch(() => undefined)
  if (file) return unstaple(new Uint8Array(file))
  if (RECEIPT_TEXT.test(given)) return { receipt: given }
  if (RECEIPT_ID.test(given) && url !== undefined)
    return { receipt: await fetchReceipt(gatewayAt(io, url), given) }
  throw new UsageError(
    `there is no file ${given.slice(0, 80)}, and it is neither a receipt in base64url nor, with --url, a receipt’s id`,
    'receipt',
  )
}

const gatewayAt = (io: Io, url: string) =>
  openGateway({ url, ...(io.fetch && { fetch: io.fetch }) })

/** Receipts come alone, or stapled to a plain answer. */
function unstaple(bytes: Bytes): Given {
  const spliced = unspliceReceipt(bytes)
  if (spliced) return { receipt: spliced.receipt, output: new Uint8Array(spliced.output) }
  return { receipt: fromUtf8(bytes).trim() }
}

async function findDocument(
  io: Io,
  receipt: string,
  flags: VerifyFlags,
): Promise<AttestationDocument> {
  if (flags.document !== undefined)
    return parseDocument(await readInput(io, flags.document, 'document'), flags.document)
  if (flags.url === undefined)
    throw new UsageError(
      'give the attestation document with --document FILE, or --url of a gateway that serves it',
      'document',
    )
  return fetchDocument(gatewayAt(io, flags.url), decodeReceipt(receipt).document)
}

function parseDocument(bytes: Bytes, path: string): AttestationDocument {
  try {
    return parseAttestationDocument(bytes)
  } catch (cause) {
    const why = cause instanceof SealedError ? cause.message : 'malformed'
    throw new SealedError('evidence.invalid', `${path} is no attestation document: ${why}`, {
      param: 'document',
      cause,
    })
  }
}

async function receiptInput(
  io: Io,
  given: Given,
  document: AttestationDocument,
  flags: VerifyFlags,
): Promise<ReceiptInput> {
  if (flags.response !== undefined && flags.salt === undefined)
    throw new UsageError('--response can be checked only together with --salt', 'salt')
  const request =
    flags.request === undefined ? undefined : await readInput(io, flags.request, 'request')
  const output =
    flags.response === undefined ? given.output : await readInput(io, flags.response, 'response')
  return {
    receipt: given.receipt,
    document,
    ...(request && (isPlain(given.receipt) ? { input: request } : { request })),
    ...(output && { output }),
    ...(flags.salt !== undefined && { salt: parseSalt(flags.salt) }),
    ...(flags.nonce !== undefined && { nonce: flags.nonce }),
  }
}

/** Which door it says it came through; a receipt that cannot be read fails whichever it was. */
function isPlain(receipt: string): boolean {
  try {
    const received = decodeReceipt(receipt).leaf.statements[0]
    return received?.type === 'request.received' && received.door === 'plain'
  } catch {
    return false
  }
}

async function readInput(io: Io, path: string, what: string): Promise<Bytes> {
  try {
    return new Uint8Array(await readFile(resolve(io.cwd, path)))
  } catch (cause) {
    throw new UsageError(`cannot read the ${what}: ${(cause as Error).message}`, what)
  }
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
