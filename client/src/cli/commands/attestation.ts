// attestation: fetches a fresh document, judges it, prints what it says; asks nothing of any workload.
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { canonicalBytes } from '@sealed/protocol'
import { inspect } from '../../attest.ts'
import { type Io, painter, printJson } from '../io.ts'
import { attestOptions, type CommonFlags } from '../settings.ts'
import { type Exit, UsageError } from '../usage.ts'
import { checkLines, exitOf, verdictSummary } from '../verdict-lines.ts'

export async function attestationCommand(
  io: Io,
  flags: CommonFlags & { out?: string },
): Promise<Exit> {
  const options = await attestOptions(flags, io)
  const { document, documentDigest, keySetDigest, verdict } = await inspect(options)
  if (flags.out !== undefined)
    await writeFile(resolve(io.cwd, flags.out), canonicalBytes(document)).catch((error: Error) => {
      throw new UsageError(`cannot write ${flags.out}: ${error.message}`, 'out')
    })
  const { configuration } = document
  if (flags.json) {
    printJson(io, {
      url: options.url,
      document: documentDigest,
      key_set: keySetDigest,
      configuration,
      verdict,
    })
    return exitOf(verdict)
  }
  const paint = painter(io, 'stdout')
  const lines = [
    `document     ${documentDigest}`,
    `key set      ${keySetDigest}`,
    ...configuration.workloads.map(
      ({ digest, name, seal_policy }) =>
        `workload     ${name}, sealed per ${seal_policy}, ${digest}`,
    ),
    ...configuration.authorities.map(({ id }) => `authority    ${id}`),
    `metering     ${configuration.metering}, ${configuration.attribution}`,
    `verdict      ${verdictSummary(verdict, paint)}`,
    ...checkLines(verdict.checks, paint),
  ]
  io.stdout.write(`${lines.join('\n')}\n`)
  return exitOf(verdict)
}
