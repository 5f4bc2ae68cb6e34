// ask, write, update: one sealed computation each, told as it unfolds, its evidence kept where --save says.
import { resolve } from 'node:path'
import { decodeReceipt, toBase64url, type Verdict } from '@sealed/protocol'
import { type Answer, ask } from '../../ask.ts'
import { attest } from '../../attest.ts'
import { readAuthorityFile } from '../../authority-file.ts'
import { type Evidence, GatewayFailure, VerdictError } from '../../failure.ts'
import {
  checkCapability,
  type OperationOptions,
  type Send,
  update,
  write,
} from '../../operations.ts'
import { askUnverified, inspectUnverified } from '../../unverified.ts'
import { CHAT_ENDPOINT, type ChatFlags, chatBody, readChat, readPrompt } from '../chat.ts'
import { prepareFolder, saveEvidence } from '../evidence-folder.ts'
import { type Io, painter, plain, printJson } from '../io.ts'
import { attestOptions, type CommonFlags } from '../settings.ts'
import { type Reach, type Story, storyteller } from '../story.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'
import { exitOf } from '../verdict-lines.ts'

export interface SessionFlags extends CommonFlags, ChatFlags {
  apiKey?: string
  save?: string
  workload?: string
}

export const askCommand = (io: Io, prompt: string | undefined, flags: SessionFlags) =>
  converse(io, prompt, flags, sendOf(io))

export const updateCommand = (io: Io, prompt: string | undefined, flags: SessionFlags) =>
  converse(io, prompt, flags, (options) => update(options, sendOf(io)))

export async function writeCommand(
  io: Io,
  capability: string,
  prompt: string | undefined,
  flags: SessionFlags & { authority: string; negative?: boolean },
): Promise<Exit> {
  const authority = await readAuthorityFile(resolve(io.cwd, flags.authority))
  const polarity = flags.negative ? 'negative' : 'positive'
  try {
    checkCapability(capability)
  } catch (error) {
    throw new UsageError((error as Error).message, 'capability')
  }
  return converse(io, prompt, flags, (options) =>
    write({ ...options, authority, capability, polarity }, sendOf(io)),
  )
}

/** How this command asks. */
export const sendOf = (io: Io): Send => (io.insecure ? askUnverified : ask)

async function converse(
  io: Io,
  given: string | undefined,
  flags: SessionFlags,
  operation: (options: OperationOptions) => Promise<Answer>,
): Promise<Exit> {
  const prompt = await readPrompt(given, io)
  const body = chatBody(prompt, flags)
  const answer = await inSession(io, flags, (options) => operation({ ...options, body }))
  const chat = readChat(answer.output)
  const story = storyteller(io, flags)
  tell(story, answer, answer.verdict, chat.reached)
  if (flags.json) printJson(io, { ...sessionJson(answer), output: chat.json ?? chat.text })
  else io.stdout.write(`${io.stdout.isTTY ? plain(chat.text) : chat.text}\n`)
  if (answer.status < 400) return exitOf(answer.verdict)
  story.line('failed', painter(io, 'stderr')('red', `the workload answered ${answer.status}`))
  return EXIT.failed
}

/**
 * Attests, runs one operation, and keeps its evidence, also when it failed. An answer whose receipt does not verify is
 * not shown: it is thrown as `VerdictError`, and lies in the --save folder for who wants to look.
 */
export async function inSession<A extends Answer>(
  io: Io,
  flags: SessionFlags,
  operation: (options: Omit<OperationOptions, 'body'>) => Promise<A>,
): Promise<A> {
  const folder = flags.save === undefined ? undefined : resolve(io.cwd, flags.save)
  if (folder !== undefined) await prepareFolder(folder)
  const story = storyteller(io, flags)
  const options = await attestOptions(flags, io)
  const attested = await (io.insecure ? inspectUnverified : attest)(options)
  story.attested(attested)
  try {
    const answer = await operation({
      attested,
      endpoint: CHAT_ENDPOINT,
      onEvent: story.event,
      ...(flags.workload !== undefined && { workload: flags.workload }),
    })
    if (folder !== undefined) await saveEvidence(folder, answer)
    return answer
  } catch (error) {
    const failure =
      error instanceof GatewayFailure || error instanceof VerdictError ? error : undefined
    const { evidence, verdict } = failure ?? {}
    if (folder !== undefined && evidence) await saveEvidence(folder, evidence)
    if (evidence && verdict) tell(story, evidence, verdict, [])
    throw error
  }
}

/** The statements, then the verdict; a receipt that cannot be read shows in the verdict alone. */
export function tell(
  story: Story,
  { receipt }: Evidence,
  verdict: Verdict,
  reached: readonly Reach[],
): void {
  const form = verdict.checks.find(({ id }) => id === 'receipt.form')
  if (receipt !== undefined && form?.result === 'pass')
    story.receipt(decodeReceipt(receipt), reached)
  story.verdict(verdict)
}

export const sessionJson = (answer: Answer) => ({
  status: answer.status,
  content_type: answer.contentType,
  verdict: answer.verdict,
  receipt: answer.receipt,
  receipt_id: answer.receiptId ?? null,
  salt: toBase64url(answer.salt),
})
