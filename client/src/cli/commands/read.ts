// read: an authority's meters, never without the coverage that says how much of the use they speak for; and, where a
// file is given, the openings with which `log replay` sums them up again.
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { canonicalize, type Reading } from '@sealed/protocol'
import { readAuthorityFile } from '../../authority-file.ts'
import { read } from '../../operations.ts'
import { type Io, plainLine, printJson } from '../io.ts'
import { storyteller } from '../story.ts'
import { type Exit, UsageError } from '../usage.ts'
import { exitOf } from '../verdict-lines.ts'
import { inSession, type SessionFlags, sendOf, sessionJson, tell } from './session.ts'

export async function readCommand(
  io: Io,
  flags: SessionFlags & { authority: string; openings?: string },
): Promise<Exit> {
  const authority = await readAuthorityFile(resolve(io.cwd, flags.authority))
  const ask = (after?: number) =>
    inSession(io, flags, (options) =>
      read({ ...options, authority, ...(after !== undefined && { after }) }, sendOf(io)),
    )
  let answer = await ask()
  if (flags.openings !== undefined) {
    const readings = [answer.reading]
    while (answer.reading.next !== undefined) {
      answer = await ask(answer.reading.next)
      readings.push(answer.reading)
    }
    const lines = readings.map((reading) => `${canonicalize(reading)}\n`).join('')
    // Whoever holds salts can tell from the log how much each session used: for the authority alone.
    await writeFile(resolve(io.cwd, flags.openings), lines, { mode: 0o600, flag: 'wx' }).catch(
      (error: Error) => {
        throw new UsageError(`cannot write ${flags.openings}: ${error.message}`, 'openings')
      },
    )
  }
  tell(storyteller(io, flags), answer, answer.verdict, [])
  if (flags.json) printJson(io, { ...sessionJson(answer), reading: answer.reading })
  else io.stdout.write(`${readingLines(answer.reading).join('\n')}\n`)
  return exitOf(answer.verdict)
}

function readingLines({ coverage, meters }: Reading): string[] {
  const lines = meters.map(
    ({ capability, millionths }) =>
      `${(millionths / 1_000_000).toFixed(6).padStart(14)}  ${plainLine(capability)}`,
  )
  const references = coverage.references.map(
    ({ capability, count, model }) =>
      `               ${count} signatures of ${plainLine(capability)} for model ${model.slice(0, 16)}…`,
  )
  return [
    ...(lines.length > 0 ? lines : ['no meters yet: this authority has written no capability']),
    `coverage       ${coverage.sessions} sessions, ${coverage.sessions_unmetered} unmetered (${coverage.output_bytes_unmetered} bytes of output)`,
    `               ${coverage.egress_open_ms} ms open to the outside; ${coverage.boots} boots, ${coverage.rollbacks} rollbacks`,
    `               registry version ${coverage.registry_version}, log ${plainLine(coverage.origin)}`,
    ...references,
  ]
}
