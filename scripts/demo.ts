// `npm run demo`: the research note's three modes on a fresh instance: write two capabilities, update with an input
// that was written, read the meters. Every receipt is verified; the end is judged.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { REPOSITORY } from './instance/paths.ts'
import { unsealedFlag, unsealedParagraph } from './instance/unsealed.ts'
import { up } from './up.ts'
import { startOutside } from './world/outside.ts'
import { run } from './world/run.ts'

const SAMPLES = JSON.parse(
  await readFile(join(import.meta.dirname, 'demo-samples.json'), 'utf8'),
) as Record<string, string[]>
const [FIRST, SECOND] = Object.keys(SAMPLES) as [string, string]
const MOST_OF_THE_OTHER = 200_000

const { values } = parseArgs({
  options: { transcript: { type: 'string' }, unsealed: { type: 'string' } },
})
const unsealed = unsealedFlag(values.unsealed)
const say = (line: string) => process.stdout.write(`${line}\n`)
/** Said before and after anything else is. */
const warn = () => unsealed && say(unsealedParagraph(unsealed))
const SEALED = join(REPOSITORY, 'client', 'bin', 'sealed.ts')
/** `sealed` asks no machine that does not verify. */
const ASKING = unsealed ? join(REPOSITORY, 'client', 'bin', 'insecure.ts') : SEALED

const state = join(REPOSITORY, '.sealed', `demo-${randomBytes(4).toString('hex')}`)
const saved = join(state, 'saved')
const undo: (() => Promise<unknown>)[] = []
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    if (interrupted) return
    interrupted = true
    void down().then(() => {
      warn()
      process.exit(130)
    })
  })
async function down(): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step()
}

/** Runs the command line a person would type, shows what it shows, and returns its exit code. */
function sealed(command: string, ...args: string[]): Promise<number> {
  const shown = args.map((arg) =>
    arg.startsWith(state) ? basename(arg) : arg.includes(' ') ? `'${arg}'` : arg,
  )
  say(`\n$ ${basename(command, '.ts')} ${shown.join(' ')}`)
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [command, ...args], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

/** Where nothing is sealed, whatever asks ends with 1: its receipt does not verify. */
const must = (...args: string[]): Promise<void> => mustEnd(unsealed ? 1 : 0, ASKING, ...args)

async function mustEnd(expected: number, command: string, ...args: string[]): Promise<void> {
  const code = await sealed(command, ...args)
  if (code !== expected) throw new Error(`${args[0]} ended with ${code} instead of ${expected}`)
}

async function demo(): Promise<void> {
  await mkdir(saved, { recursive: true })
  undo.push(() => rm(state, { recursive: true, force: true }))
  const authorityFile = join(state, 'authority.json')
  const made = await run(process.execPath, [
    SEALED,
    'authority',
    'new',
    'demo-institute',
    '--out',
    authorityFile,
    '--json',
  ])
  const { authority } = JSON.parse(made) as {
    authority: { id: string; name: string; public_key: string }
  }
  const instance = await up(
    state,
    {
      workload: 'reference',
      authorities: [authority],
      ...(unsealed ? { unsealed } : await wayOut()),
    },
    (line) => say(`· ${line}`),
  )
  undo.push(() => instance.stop())
  const common = ['--url', instance.url, '--policy', instance.paths.policy]
  const step = (label: string) => ['--save', join(saved, label), ...common]

  for (const [capability, prompts] of Object.entries(SAMPLES))
    for (const [i, prompt] of prompts.entries())
      await must(
        'write',
        capability,
        prompt,
        '--authority',
        authorityFile,
        ...step(`write-${capability}-${i}`),
      )
  await must('update', SAMPLES[FIRST]![0]!, ...step('update'))
  await must('read', '--authority', authorityFile, ...step('read'))

  if (unsealed)
    for (const label of await readdir(saved))
      await mustEnd(1, SEALED, 'verify', join(saved, label), '--policy', instance.paths.policy)
  const reading = JSON.parse(await readFile(join(saved, 'read', 'response.body'), 'utf8')) as {
    meters: { capability: string; millionths: number }[]
  }
  const meter = (capability: string) =>
    reading.meters.find((row) => row.capability === `${authority.id}/${capability}`)?.millionths
  say(`\n${FIRST} ${meter(FIRST)! / 1e6}, ${SECOND} ${meter(SECOND)! / 1e6}`)
  if (meter(FIRST) !== 1_000_000)
    throw new Error(`${FIRST} should have been used to the extent of exactly 1.0`)
  if (!(meter(SECOND)! <= MOST_OF_THE_OTHER))
    throw new Error(`${SECOND} should have been used by 0.2 at most`)
  if (values.transcript) await transcript(values.transcript, instance.paths.policy)
}

/** Somewhere outside that the workload may reach while it is not sealed, and tries to reach while it is. */
async function wayOut() {
  const outside = await startOutside({ id: randomBytes(3).toString('hex') })
  undo.push(() => outside.stop())
  const target = { address: outside.address4, protocol: 'tcp', port: outside.ports.tcp } as const
  return { egress: [target], env: { PROBE_TARGETS: `tcp:${target.address}:${target.port}` } }
}

/** Everything that was sent, received and proven, in one file that can be verified later. */
async function transcript(path: string, policyPath: string): Promise<void> {
  const steps: Record<string, Record<string, string>> = {}
  for (const label of (await readdir(saved)).sort()) {
    const files = await readdir(join(saved, label))
    const contents = files.map(
      async (file) => [file, await readFile(join(saved, label, file), 'utf8')] as const,
    )
    steps[label] = Object.fromEntries(await Promise.all(contents))
  }
  const policy = JSON.parse(await readFile(policyPath, 'utf8')) as unknown
  await writeFile(path, `${JSON.stringify({ policy, steps, version: 1 }, null, 2)}\n`)
  say(`transcript: ${path}`)
}

warn()
try {
  await demo()
  say(
    unsealed
      ? 'the protocol ran as the research note says: written, updated, read; every receipt failed, as it must here'
      : 'the demo did what the research note says: written, updated, read; every receipt verified',
  )
} catch (error) {
  if (!interrupted) {
    process.stderr.write(`the demo failed: ${(error as Error).message}\n`)
    process.exitCode = 1
  }
} finally {
  await down()
  warn()
}
