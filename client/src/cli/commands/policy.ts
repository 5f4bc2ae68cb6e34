// policy: draws one from a running gateway for a person to review, and says in words what one asks for. Drawing verifies
// nothing and says so.
import { readFile, stat, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  draftPolicy,
  type Policy,
  parsePolicy,
  pinImage,
  SealedError,
  STRICT_POLICY,
  verifyDocument,
} from '@sealed/protocol'
import { inspect } from '../../attest.ts'
import { type Io, painter, plainLine, printJson } from '../io.ts'
import { pcrLines, policyWords } from '../policy-words.ts'
import { attestOptions } from '../settings.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'
import { readReference } from './image.ts'

export interface PolicyInitFlags {
  image?: string
  json?: boolean
  name?: string
  out?: string
  url?: string
}

export async function policyInitCommand(io: Io, flags: PolicyInitFlags): Promise<Exit> {
  const out = flags.out === undefined ? undefined : resolve(io.cwd, flags.out)
  if (out !== undefined) await mustBeNew(out, flags.out!)
  const { policy: _, ...options } = await attestOptions(flags, io)
  const { document } = await inspect({ ...options, policy: STRICT_POLICY })
  const reference = flags.image === undefined ? undefined : await readReference(io, flags.image)
  const drawn = await draftPolicy(document, flags.name ?? new URL(options.url).host, io.now())
  const policy = reference === undefined ? drawn : pinImage(drawn, reference)
  const { checks } = await verifyDocument({ document }, policy, io.now())
  const wrong = checks.filter(({ result }) => result === 'fail')
  if (flags.json) printJson(io, { policy, misfits: wrong })
  else if (out === undefined) io.stdout.write(fileOf(policy))
  if (out !== undefined)
    await writeFile(out, fileOf(policy), { flag: 'wx' }).catch((error: Error) => {
      throw new UsageError(`cannot write ${flags.out}: ${error.message}`, 'out')
    })
  if (flags.json) return EXIT.ok
  const paint = painter(io, 'stderr')
  const lines = [
    `${paint('yellow', 'Nothing was verified.')} These are the values that ${options.url} states; a machine that lies states lies.`,
    'Read each, compare it with what its maker publishes, and only then use the file as --policy:',
    '',
    ...wordLines(policy),
    ...policy.images.flatMap(pcrLines).map((line) => `  ${''.padEnd(14)}${line}`),
    '',
    'PCR 8 and 14 (configuration and keys) are in no policy: every verifier computes them.',
    'Values that change with a disk, a network card or a firmware update need to go, or to get a second digest.',
    ...wrong.map(
      ({ id, reason }) =>
        `${paint('red', 'The machine does not even fit its own values')}: ${id}: ${plainLine(reason)}`,
    ),
    ...(out === undefined ? [] : [`Written to ${flags.out}.`]),
  ]
  io.stderr.write(`${lines.join('\n')}\n`)
  return wrong.length > 0 ? EXIT.failed : EXIT.ok
}

/** Says what the policy in a file asks for; a file that is none fails. */
export async function policyCheckCommand(
  io: Io,
  path: string,
  flags: { json?: boolean },
): Promise<Exit> {
  const source = await readFile(resolve(io.cwd, path), 'utf8').catch((error: Error) => {
    throw new UsageError(`cannot read the policy: ${error.message}`, 'file')
  })
  let policy: Policy
  try {
    policy = parsePolicy(source)
  } catch (error) {
    if (!(error instanceof SealedError)) throw error
    throw new SealedError('config.invalid', `${path} is no policy: ${error.message}`, {
      ...(error.param !== undefined && { param: error.param }),
      cause: error,
    })
  }
  const { warnings } = policyWords(policy)
  if (flags.json) {
    printJson(io, { policy, warnings })
    return EXIT.ok
  }
  const paint = painter(io, 'stdout')
  const lines = [...wordLines(policy), ...warnings.map((line) => `${paint('yellow', '!')} ${line}`)]
  io.stdout.write(`${lines.join('\n')}\n`)
  return EXIT.ok
}

const wordLines = (policy: Policy): string[] =>
  policyWords(policy).lines.map(([member, words]) => `  ${member.padEnd(14)}${plainLine(words)}`)

const fileOf = (policy: Policy): string => `${JSON.stringify(policy, null, 2)}\n`

/** A policy that someone reviewed is never written over. */
async function mustBeNew(path: string, given: string): Promise<void> {
  const there = await stat(path).catch(() => undefined)
  if (there) throw new UsageError(`${given} is there already; choose another file for --out`, 'out')
}
