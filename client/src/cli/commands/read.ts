// read: an authority's meters, never without the coverage that says how much of the use they speak for.
import { resolve } from 'node:path'
import type { Reading } from '@sealed/protocol'
import { readAuthorityFile } from '../../authority-file.ts'
import { read } from '../../operations.ts'
import { type Io, plainLine, printJson } from '../io.ts'
import { storyteller } from '../story.ts'
import { EXIT, type Exit } from '../usage.ts'
import { inSession, type SessionFlags, sessionJson, tell } from './session.ts'

export async function readCommand(
  io: Io,
  flags: SessionFlags & { authority: string },
): Promise<Exit> {
  const authority = await readAuthorityFile(resolve(io.cwd, flags.authority))
  const answer = await inSession(io, flags, (options) => read({ ...options, authority }))
  tell(storyteller(io, flags), answer, answer.verdict, [])
  if (flags.json) printJson(io, { ...sessionJson(answer), reading: answer.reading })
  else io.stdout.write(`${readingLines(answer.reading).join('\n')}\n`)
  return EXIT.ok
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
