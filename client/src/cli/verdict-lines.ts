// A verdict as lines: one for each check, with the mark that tells a skipped check from a passed one.
import type { CheckEntry, Verdict } from '@sealed/protocol'
import { type Paint, plainLine } from './io.ts'
import { EXIT, type Exit } from './usage.ts'

const MARK = { pass: '✓', fail: '✗', skip: '–' } as const
const STYLE = { pass: 'green', fail: 'red', skip: 'yellow' } as const
const OUTCOME = { verified: 'green', failed: 'red', incomplete: 'yellow' } as const

export const exitOf = (verdict: Verdict): Exit =>
  ({ verified: EXIT.ok, failed: EXIT.failed, incomplete: EXIT.incomplete })[verdict.outcome]

/** `verified under policy dev: 12 passed, 0 failed, 3 skipped`. */
export function verdictSummary(verdict: Verdict, paint: Paint): string {
  const count = (result: CheckEntry['result']) =>
    verdict.checks.filter((entry) => entry.result === result).length
  const outcome = paint(OUTCOME[verdict.outcome], verdict.outcome)
  return `${outcome} under policy ${plainLine(verdict.policy)}: ${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped`
}

export const checkLines = (checks: readonly CheckEntry[], paint: Paint): string[] =>
  checks.map(({ id, reason, required, result }) => {
    const note = result === 'skip' ? ` (skipped${required ? ', required' : ''})` : ''
    return `  ${paint(STYLE[result], MARK[result])} ${id.padEnd(28)} ${paint('dim', plainLine(reason) + note)}`
  })
