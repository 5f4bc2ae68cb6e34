// log checkpoint, log audit, log proof: the log as others see it. A checkpoint that was kept is what a fork or a
// rollback cannot explain away, so one is only ever replaced by one that was proven to follow it.
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Audit, type Checkpoint, fromUtf8 } from '@sealed/protocol'
import { attest } from '../../attest.ts'
import { audit, fetchCheckpoint, fetchProof } from '../../log.ts'
import { type Io, painter, plainLine, printJson } from '../io.ts'
import { attestOptions, type CommonFlags, openGateway } from '../settings.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'

interface LogFlags extends CommonFlags {
  out?: string
}

export async function checkpointCommand(io: Io, flags: LogFlags): Promise<Exit> {
  const attested = await attest(await attestOptions(flags, io))
  const { checkpoint, text, witnesses } = await fetchCheckpoint(attested)
  await save(io, flags.out, text)
  if (flags.json) printJson(io, { ...summary(checkpoint), witnesses, checkpoint: text })
  else if (flags.out === undefined) io.stdout.write(text)
  else io.stderr.write(`${line(checkpoint)}\n`)
  return EXIT.ok
}

export async function auditCommand(
  io: Io,
  flags: LogFlags & { checkpoint: string },
): Promise<Exit> {
  const saved = await readFile(resolve(io.cwd, flags.checkpoint)).catch((error: Error) => {
    throw new UsageError(`cannot read the checkpoint: ${error.message}`, 'checkpoint')
  })
  const attested = await attest(await attestOptions(flags, io))
  const found = await audit(attested, fromUtf8(saved))
  await save(io, flags.out, found.note)
  if (flags.json) printJson(io, auditJson(found))
  else io.stdout.write(`${auditLines(io, found).join('\n')}\n`)
  return EXIT.ok
}

export async function proofCommand(io: Io, id: string, flags: LogFlags): Promise<Exit> {
  const { url } = await attestOptions({ ...flags, policy: 'strict' }, io)
  const proof = await fetchProof(openGateway({ url, ...(io.fetch && { fetch: io.fetch }) }), id)
  await save(io, flags.out, proof)
  if (flags.json) printJson(io, { proof })
  else if (flags.out === undefined) io.stdout.write(proof)
  return EXIT.ok
}

const summary = ({ counter, origin, size, utcMs }: Checkpoint) => ({
  origin,
  size,
  counter: String(counter),
  utc_ms: utcMs,
})

const auditJson = ({ logs, newest, saved, savedSignature, witnesses }: Audit) => ({
  append_only: true,
  saved: summary(saved),
  saved_signature: savedSignature,
  newest: summary(newest),
  logs,
  witnesses,
})

const line = ({ origin, size, utcMs }: Checkpoint) =>
  `${plainLine(origin)}, ${size} leaves, ${new Date(utcMs).toISOString()} (claimed)`

function auditLines(io: Io, { logs, newest, saved, savedSignature, witnesses }: Audit): string[] {
  const paint = painter(io, 'stdout')
  const boots = logs.length - 1
  const through = boots === 0 ? 'the same boot' : `${boots} boot${boots === 1 ? '' : 's'} later`
  const key = savedSignature === 'verified' ? 'signature verified' : 'its key is of an earlier boot'
  return [
    `kept         ${line(saved)}; ${key}`,
    `today        ${line(newest)}; ${through}`,
    `witnesses    ${witnesses.length > 0 ? witnesses.map(plainLine).join(', ') : 'none known'}`,
    paint('green', 'append-only: what was kept is the beginning of what is there today'),
  ]
}

async function save(io: Io, path: string | undefined, text: string): Promise<void> {
  if (path === undefined) return
  await writeFile(resolve(io.cwd, path), text).catch((error: Error) => {
    throw new UsageError(`cannot write ${path}: ${error.message}`, 'out')
  })
}
