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
  verifyReceipt,
} from '@sealed/protocol'
import { fetchDocument } from '../../receipts.ts'
import { savedFile } from '../evidence-folder.ts'
import { type Io, painter, printJson, readStdin } from '../io.ts'
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

export async function verifyCommand(
  io: Io,
  given: string | undefined,
  flags: VerifyFlags,
): Promise<Exit> {
  const files = await withFolder(io, given ?? '-', flags)
  const receipt = await readReceipt(io, files.receipt)
  const document = await findDocument(io, receipt, files.flags)
  const input = await receiptInput(io, receipt, document, files.flags)
  const verdict = await verifyReceipt(input, await loadPolicy(flags.policy, io), io.now())
  if (flags.json) printJson(io, { verdict })
  else {
    const paint = painter(io, 'stdout')
    const { claims } = verdict
    const said = [claims.result, claims.door && `${claims.door} door`, claims.workload]
      .filter((part) => part !== undefined)
      .join(', ')
    const session = claims.session === undefined ? [] : [`session ${claims.session}: ${said}`]
    const lines = [...session, ...checkLines(verdict.checks, paint), verdictSummary(verdict, paint)]
    io.stdout.write(`${lines.join('\n')}\n`)
  }
  return exitOf(verdict)
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

async function readReceipt(io: Io, given: string): Promise<string> {
  if (given === '-') return fromUtf8(await readStdin(io)).trim()
  const file = await readFile(resolve(io.cwd, given), 'utf8').catch(() => undefined)
  if (file !== undefined) return file.trim()
  if (RECEIPT_TEXT.test(given)) return given
  throw new UsageError(
    `there is no file ${given.slice(0, 80)}, and it is no receipt in base64url either`,
    'receipt',
  )
}

async function findDocument(
  io: Io,
  receipt: string,
  flags: VerifyFlags,
): Promise<AttestationDocument> {
  if (flags.document !== undefined)
    return parseAttestationDocument(await readInput(io, flags.document, 'document'))
  if (flags.url === undefined)
    throw new UsageError(
      'give the attestation document with --document FILE, or --url of a gateway that serves it',
      'document',
    )
  const gateway = openGateway({ url: flags.url, ...(io.fetch && { fetch: io.fetch }) })
  return fetchDocument(gateway, decodeReceipt(receipt).document)
}

async function receiptInput(
  io: Io,
  receipt: string,
  document: AttestationDocument,
  flags: VerifyFlags,
): Promise<ReceiptInput> {
  if (flags.response !== undefined && flags.salt === undefined)
    throw new UsageError('--response can be checked only together with --salt', 'salt')
  const request = flags.request && (await readInput(io, flags.request, 'request'))
  const session = shape(receipt)
  const response =
    flags.response !== undefined && !session.aborted
      ? await readInput(io, flags.response, 'response')
      : undefined
  return {
    receipt,
    document,
    ...(request && (session.plain ? { input: request } : { request })),
    ...(response && { output: response }),
    ...(flags.salt !== undefined && { salt: parseSalt(flags.salt) }),
    ...(flags.nonce !== undefined && { nonce: flags.nonce }),
  }
}

/** What kind of session it says it was; a receipt that cannot be read is judged as an envelope's. */
function shape(receipt: string): { plain: boolean; aborted: boolean } {
  try {
    const { statements } = decodeReceipt(receipt).leaf
    const received = statements[0]
    return {
      plain: received?.type === 'request.received' && received.door === 'plain',
      aborted: statements.at(-1)?.type === 'session.aborted',
    }
  } catch {
    return { plain: false, aborted: false }
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
