// `npm run faults`: ledger and store killed at every system call by which they change anything. For each K a machine of
// its own, whose first process is killed as it makes the call for the K-th time, and whose second one too, on what the
// first has left; a third must come through. A line every so many; ends with 1 where anything was found.
//   npm run faults -- [--from POINT[:K]] [--only POINT[:K]] [--most N]
// It takes about 20 minutes. As root, on Linux, with strace, swtpm and tpm2-tools (`npm test` installs them).
import { parseArgs } from 'node:util'
import { ALL_POINTS, KilledLedger, type Point } from '../support/killed-ledger.ts'
import { type Lab, openLab } from '../support/software-tpm.ts'

const LINE_EVERY = 10

const { values } = parseArgs({
  options: {
    from: { type: 'string' },
    /** No process makes a call as often as this: more is a finding. */
    most: { type: 'string', default: '1000' },
    only: { type: 'string' },
  },
})
const most = numberOf('most', values.most)
const say = (line: string) => void process.stdout.write(`${line}\n`)

/** A point's number in the list, and the K to begin with. */
function placeOf(name: 'from' | 'only'): [index: number, k: number | undefined] | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  const [, point, k] = /^(\w+:\w+?)(?::(\d+))?$/.exec(text) ?? []
  const index = ALL_POINTS.findIndex((one) => one.name === point)
  if (index < 0)
    throw new Error(
      `--${name} is one of ${ALL_POINTS.map((one) => one.name).join(', ')}, or one of them and :K`,
    )
  return [index, k === undefined ? undefined : numberOf(name, k)]
}

function numberOf(name: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new Error(`--${name}: ${text} is no whole number above 0`)
}

let [kills, findings, isStopped] = [0, 0, false]
process.once('SIGINT', () => {
  isStopped = true
})

/** One K; says whether the first two processes never got there. */
async function tryAt(lab: Lab, point: Point, k: number): Promise<boolean> {
  const ledger = await KilledLedger.make(lab, `${point.name.replace(':', '-')}-${k}`)
  try {
    let unharmed = 0
    for (const _ of ['first', 'second']) {
      if (await ledger.run(point, k)) unharmed += 1
      else kills += 1
      await ledger.check()
    }
    await ledger.runUnharmed()
    await ledger.check()
    return unharmed === 2
  } catch (error) {
    findings += 1
    say(`✗ ${point.name}:${k}: ${(error as Error).message}`)
    say(`  npm run faults -- --only ${point.name}:${k}`)
    return false
  } finally {
    await ledger.close()
  }
}

/** Every K from `first` on, until nobody is killed any more. */
async function tryAll(lab: Lab, point: Point, first: number): Promise<void> {
  for (let k = first; ; k += 1) {
    if (isStopped) return say(`stopped; it goes on with --from ${point.name}:${k}`)
    if (k > most) {
      findings += 1
      return say(`✗ ${point.name}: more than ${most} calls`)
    }
    if (await tryAt(lab, point, k)) return tried(point, k - 1)
    if (k % LINE_EVERY === 0) say(`  ${point.name}:${k} · ${kills} kills, ${findings} findings`)
  }
}

function tried(point: Point, calls: number): void {
  // Then it is not where this looks for it.
  if (calls === 0) findings += 1
  say(`${calls === 0 ? '✗' : '✓'} ${point.name}: at each of ${calls} calls`)
}

const [only, from] = [placeOf('only'), placeOf('from')]
const lab = await openLab()
try {
  if (only?.[1] !== undefined) await tryAt(lab, ALL_POINTS[only[0]]!, only[1])
  else if (only) await tryAll(lab, ALL_POINTS[only[0]]!, 1)
  else
    for (const [i, point] of ALL_POINTS.entries())
      if (i >= (from?.[0] ?? 0) && !isStopped)
        await tryAll(lab, point, (i === from?.[0] && from[1]) || 1)
} finally {
  await lab.close()
}
say(`${kills} kills, ${findings} findings`)
process.exitCode = findings > 0 ? 1 : isStopped ? 130 : 0
