// Audits of whole logs, honest and not, against what the second verifier says: the way that was gone, or the very check
// that failed.
import { expect, test } from 'vitest'
import audits from '../../vectors/audit.json' with { type: 'json' }
import { concat, fromBase64url, fromHex } from '../bytes.ts'
import { logOrigin } from '../checkpoint.ts'
import type { WitnessKey } from '../cosignature.ts'
import { SealedError } from '../errors.ts'
import { type KeySet, keySetDigest } from '../key-set.ts'
import { auditLog, type LogSource } from '../verify/audit.ts'
import { type Edit, edited } from './run.ts'

interface Served {
  boot?: string
  checkpoint?: string
  tiles?: Record<string, string[]>
}
interface Given {
  saved: string
  key_set: KeySet
  witnesses: WitnessKey[]
  logs: Record<string, Served>
}

/** Serves what the case holds, and notes what it was asked for. */
function sourceOf(logs: Given['logs'], asked: string[]): LogSource {
  const get = <T>(origin: string, name: string, of: (log: Served) => T | undefined): T => {
    asked.push(name)
    const found = logs[origin] && of(logs[origin])
    if (found === undefined) throw new SealedError('log.damaged', `${name} is not there`)
    return found
  }
  return {
    checkpoint: async (origin) => get(origin, 'checkpoint', (log) => log.checkpoint),
    boot: async (origin) => fromBase64url(get(origin, 'boot leaf', (log) => log.boot)),
    tile: async (origin, path) =>
      concat(...get(origin, path, (log) => log.tiles?.[path]).map((hash) => fromHex(hash))),
  }
}

/** What our audit says where each check fails; a note is told from the other by what was asked for. */
const SAYS: Record<string, RegExp> = {
  origin: /: asked for .* was shown/,
  witnesses: /^cosignature: /,
  tiles: /tile/,
  boot_leaf: /is not in it$|has no leaf|^boot leaf is not there$/,
  boot_form: /^(boot leaf[. ]|boot leaf: |JSON )/,
  boot_key_set: /of another key set$/,
  boot_previous: /continues no other log$/,
  way: /does not end$/,
  size: /cut short/,
  counter: /the counter of/,
  consistency: /is another log than the one kept/,
}

function failureOf(error: unknown, asked: readonly string[]): { check: string; code: string } {
  if (!(error instanceof SealedError)) throw error
  const { code, message } = error
  const [check] = Object.entries(SAYS).find(([, says]) => says.test(message)) ?? [
    asked.length === 0 ? 'saved' : asked.at(-1) === 'checkpoint' ? 'newest' : `? ${message}`,
  ]
  return { check, code }
}

async function outcomeOf({ key_set, logs, saved, witnesses }: Given) {
  const asked: string[] = []
  const today = {
    origin: logOrigin(await keySetDigest(key_set)),
    ledgerKey: fromBase64url(key_set.ledger_key),
  }
  try {
    const audit = await auditLog(sourceOf(logs, asked), saved, today, witnesses)
    expect(audit.note).toBe(logs[today.origin]?.checkpoint)
    return {
      logs: audit.logs,
      newest: audit.newest.size,
      saved: audit.saved.size,
      signature: audit.savedSignature,
      witnesses: audit.witnesses,
    }
  } catch (error) {
    return failureOf(error, asked)
  }
}

const base = audits.base as unknown as Given
for (const { name, edits, expect: expected, valid } of audits.cases)
  test(`audit: ${valid ? 'accepts' : 'refuses'} ${name}`, async () => {
    expect(await outcomeOf(edited(base, edits as Edit[]))).toEqual(expected)
  })

test('the vectors hold a log that fails each check', () => {
  const failed = audits.cases.flatMap(({ expect: { check } }) => (check ? [check] : []))
  expect([...new Set(failed)].sort()).toEqual(['newest', 'saved', ...Object.keys(SAYS)].sort())
})
