// One session's evidence as files, to be verified later: what was sent, what came, and what proves it. No key is ever
// among them; the answer is, so the folder is for its owner alone.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { canonicalBytes, toBase64url } from '@sealed/protocol'
import type { Evidence } from '../failure.ts'
import { UsageError } from './usage.ts'

export const EVIDENCE_FILES = {
  request: 'request.json',
  response: 'response.body',
  receipt: 'receipt.txt',
  document: 'document.json',
  salt: 'salt.txt',
  proof: 'receipt.tlog-proof',
} as const

/** Makes the folder, or takes an empty one: evidence is never overwritten. */
export async function prepareFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    if ((await readdir(folder)).length === 0) return
  } catch (cause) {
    throw new UsageError(`cannot use ${folder}: ${(cause as Error).message}`, 'save')
  }
  throw new UsageError(`${folder} is not empty; --save wants a new folder`, 'save')
}

export async function saveEvidence(folder: string, evidence: Evidence): Promise<void> {
  const files: Record<string, string | Uint8Array | undefined> = {
    [EVIDENCE_FILES.request]: evidence.request,
    [EVIDENCE_FILES.response]: evidence.output,
    [EVIDENCE_FILES.receipt]: evidence.receipt && `${evidence.receipt}\n`,
    [EVIDENCE_FILES.document]: canonicalBytes(evidence.document),
    [EVIDENCE_FILES.salt]: `${toBase64url(evidence.salt)}\n`,
  }
  for (const [name, content] of Object.entries(files))
    if (content !== undefined)
      await writeFile(join(folder, name), content, { flag: 'wx', mode: 0o600 })
}

/** Path of one of the folder's files, or undefined when it is not there. */
export async function savedFile(
  folder: string,
  kind: keyof typeof EVIDENCE_FILES,
): Promise<string | undefined> {
  const path = join(folder, EVIDENCE_FILES[kind])
  return readFile(path).then(
    () => path,
    () => undefined,
  )
}
