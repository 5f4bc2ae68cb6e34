// The one place where an error becomes words and an exit code.

import { SealedError } from '@sealed/protocol'
import { CommanderError } from 'commander'
import { type Evidence, GatewayFailure, VerdictError } from '../failure.ts'
import { hintFor } from './hints.ts'
import { type Io, painter, plainLine, printJson } from './io.ts'
import { EXIT, type Exit, UsageError } from './usage.ts'
import { checkLines, exitOf, verdictSummary } from './verdict-lines.ts'

/** Prints an error, as `{error: {code, message, param}}` on stdout under `--json`, and returns the exit code. */
export function report(io: Io, error: unknown, json: boolean): Exit {
  if (error instanceof CommanderError) return reportUsage(io, error, json)
  const known = error instanceof SealedError ? error : unexpected(error)
  const { code, message, param } = known
  const { evidence, verdict } =
    known instanceof GatewayFailure || known instanceof VerdictError ? known : {}
  if (json) {
    printJson(io, {
      error: { code, message, param: param ?? null },
      ...(verdict && { verdict }),
      ...(evidence && receiptMembers(evidence)),
    })
  } else {
    const paint = painter(io, 'stderr')
    const hint = hintFor(known)
    const wrong = verdict?.checks.filter(({ required, result }) =>
      verdict.outcome === 'failed' ? result === 'fail' : required && result === 'skip',
    )
    const lines = [
      `${paint('red', 'error')} ${plainLine(message)} [${code}]`,
      ...(verdict && !evidence
        ? [verdictSummary(verdict, paint), ...checkLines(wrong ?? [], paint)]
        : []),
      ...(evidence?.receiptId ? [`receipt ${plainLine(evidence.receiptId)}`] : []),
      ...(hint ? [hint] : []),
    ]
    io.stderr.write(`${lines.join('\n')}\n`)
  }
  if (known instanceof UsageError) return EXIT.usage
  return known instanceof VerdictError ? exitOf(known.verdict) : EXIT.failed
}

const receiptMembers = ({ receipt, receiptId }: Evidence) => ({
  receipt: receipt ?? null,
  receipt_id: receiptId ?? null,
})

/** Help and version end a run too; commander has printed them, and its own errors unless `--json` asks otherwise. */
function reportUsage(io: Io, error: CommanderError, json: boolean): Exit {
  if (error.exitCode === 0) return EXIT.ok
  const message = error.message.replace(/^error: /, '')
  if (json) printJson(io, { error: { code: 'request.invalid', message, param: null } })
  return EXIT.usage
}

const unexpected = (error: unknown) =>
  new SealedError(
    'internal.error',
    `unexpected: ${error instanceof Error ? error.message : String(error)}`,
    { cause: error },
  )
