// A verdict on standard output: lines for people, JSON for programs, EAR for those that read attestation results.
import { earOf, type Policy, type Receipt, type Verdict } from '@sealed/protocol'
import { hintsFor } from './hints.ts'
import { type Io, type Paint, painter, printJson } from './io.ts'
import { UsageError } from './usage.ts'
import { checkLines, verdictSummary } from './verdict-lines.ts'

export const FORMATS = ['text', 'json', 'ear'] as const
export type Format = (typeof FORMATS)[number]

const VERIFIER = { developer: 'sealed-computation', build: 'protocol 1' }

/** `--json` is short for `--format json`; two that contradict each other are refused. */
export function formatOf(flags: { format?: Format; json?: boolean }): Format {
  if (!flags.json) return flags.format ?? 'text'
  if (flags.format === undefined || flags.format === 'json') return 'json'
  throw new UsageError(`--json and --format ${flags.format} contradict each other`, 'format')
}

/** Whether errors too are wanted as JSON, seen before the arguments are parsed. */
export const wantsJson = (argv: readonly string[]): boolean =>
  argv.some(
    (arg, i) =>
      arg === '--json' ||
      /^--format=(?:json|ear)$/.test(arg) ||
      (arg === '--format' && /^(?:json|ear)$/.test(argv[i + 1] ?? '')),
  )

export async function printVerdict(
  io: Io,
  format: Format,
  verdict: Verdict,
  policy: Policy,
  now: number,
  receipt: Receipt | undefined,
): Promise<void> {
  if (format === 'json') return printJson(io, { verdict })
  if (format === 'ear') return printJson(io, await earOf(verdict, policy, VERIFIER, now))
  io.stdout.write(`${lines(verdict, painter(io, 'stdout')).join('\n')}\n`)
  for (const hint of hintsFor(verdict, receipt)) io.stderr.write(`${hint}\n`)
}

function lines(verdict: Verdict, paint: Paint): string[] {
  const { door, result, session, utc_ms, workload } = verdict.claims
  const at = utc_ms === undefined ? '' : `, received ${new Date(utc_ms).toISOString()}`
  const what = `session ${session} ${result}: ${door} door to ${workload}${at}`
  const said = verdict.outcome === 'verified' ? what : `the receipt claims, unproven: ${what}`
  return [
    ...(session && door ? [said] : []),
    ...checkLines(verdict.checks, paint),
    verdictSummary(verdict, paint),
  ]
}
