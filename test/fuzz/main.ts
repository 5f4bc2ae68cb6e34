// `npm run fuzz`: at least a million inputs over every parser and every signed thing of the protocol. One line a target
// as it goes; ends with 1 at the first finding of any target, and says how to see it again.
//   npm run fuzz -- [--inputs N] [--seed S] [--target NAME] [--input BASE64URL]
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { fromBase64url, toBase64url } from '@sealed/protocol'
import {
  type Finding,
  freshSeed,
  fuzz,
  judgeInput,
  type Target,
} from '../../protocol/src/fuzz/run.ts'
import { allTargets } from '../../protocol/src/fuzz/targets.ts'

const { values } = parseArgs({
  options: {
    input: { type: 'string' },
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(freshSeed()) },
    target: { type: 'string' },
  },
})
const number = (name: 'inputs' | 'seed'): number => {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new Error(`--${name} is a whole number above 0, not ${values[name]}`)
}
const [inputs, seed] = [number('inputs'), number('seed')]
const all = await allTargets()
const targets = values.target === undefined ? all : all.filter(({ name }) => name === values.target)
if (targets.length === 0)
  throw new Error(`--target is one of: ${all.map(({ name }) => name).join(', ')}`)

const say = (line: string) => process.stdout.write(`${line}\n`)
const again = (target: Target, input: Uint8Array) =>
  `npm run fuzz -- --target '${target.name}' --input ${toBase64url(input)}`

if (values.input !== undefined) {
  const input = fromBase64url(values.input)
  for (const target of targets)
    say(`${target.name}: ${(await judgeInput(target, input)) ?? 'nothing'}`)
} else process.exitCode = await run(targets)

async function run(chosen: readonly Target[]): Promise<number> {
  // What hangs cannot say so itself; another thread sees that the count stands still.
  const progress = new Int32Array(new SharedArrayBuffer(8))
  const names = chosen.map(({ name }) => name)
  const watchdog = new Worker(new URL('./watchdog.ts', import.meta.url), {
    workerData: { names, progress, seed },
  })
  watchdog.unref()
  const shares = chosen.map(({ percent = 100 }) => percent)
  const whole = shares.reduce((sum, share) => sum + share, 0)
  say(`${chosen.length} targets, ${inputs} inputs, --seed ${seed}`)
  const findings: Finding[] = []
  let fed = 0
  for (const [i, target] of chosen.entries()) {
    Atomics.store(progress, 1, i)
    const share = Math.ceil((inputs * shares[i]!) / whole)
    const from = performance.now()
    const finding = await fuzz(target, {
      seed,
      inputs: share,
      onInput: (count) => void Atomics.store(progress, 0, count),
    })
    const seconds = (performance.now() - from) / 1000
    fed += finding ? finding.number + 1 : share
    const each = ((1e6 * seconds) / share).toFixed(0)
    say(
      `${finding ? '✗' : '✓'} ${target.name.padEnd(30)} ${String(share).padStart(7)} inputs ${seconds.toFixed(1).padStart(6)} s ${each.padStart(6)} µs each`,
    )
    if (!finding) continue
    findings.push(finding)
    say(`  ${finding.what}\n  ${again(target, finding.input)}`)
  }
  say(`${fed} inputs, ${findings.length} findings, --seed ${seed}`)
  return findings.length > 0 ? 1 : 0
}
