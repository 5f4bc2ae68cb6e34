// `npm run faults`: ledger and store killed at every system call by which they change anything: by a process that makes
// log and database, and by one that finds them. For each K a machine of its own, on which a process is killed as it makes
// the call for the K-th time, and the next one too, on what was left to it; a third must come through. A line every so
// many; ends with 1 where anything was found.
//   npm run faults -- [--from PLACE[:K]] [--only PLACE[:K]] [--most N]
// It takes about half an hour. As root, on Linux, with strace, swtpm and tpm2-tools (`npm test` installs them).
import { parseArgs } from 'node:util'
import { KilledLedger, POINTS, type Point } from '../support/killed-ledger.ts'
import { type Lab, openLab } from '../support/software-tpm.ts'

const LINE_EVERY = 10

interface Place extends Point {
  name: string
  life: 'first' | 'later'
}
const placesOf = (life: Place['life'], points: readonly Point[]): Place[] =>
  points.map((point) => ({ ...point, life, name: `${life}:${point.by}:${point.call}` }))
const { fsync, pwrite64, unlink, write } = POINTS
const PLACES = [
  ...placesOf('first', Object.values(POINTS)),
  // A file is made and cut, and the flag set, in the first one.
  ...placesOf('later', [fsync, write, pwrite64, unlink]),
]

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

/** A place's number in the list, and the K to begin with. */
function placeOf(name: 'from' | 'only'): [index: number, k: number | undefined] | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  const [, place, k] = /^(\w+:\w+:\w+?)(?::(\d+))?$/.exec(text) ?? []
  const index = PLACES.findIndex((one) => one.name === place)
  if (index < 0)
    throw new Error(
      `--${name} is one of ${PLACES.map((one) => one.name).join(', ')}, or one of them and :K`,
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
async function tryAt(lab: Lab, place: Place, k: number): Promise<boolean> {
  const ledger = await KilledLedger.make(lab, `${place.name.replaceAll(':', '-')}-${k}`)
  try {
    if (place.life === 'later') await ledger.runUnharmed()
    let unharmed = 0
    for (const _ of ['one', 'the next']) {
      if (await ledger.run(place, k)) unharmed += 1
      else kills += 1
      await ledger.check()
    }
    await ledger.runUnharmed()
    await ledger.check()
    return unharmed === 2
  } catch (error) {
    findings += 1
    say(`✗ ${place.name}:${k}: ${(error as Error).message}`)
    say(`  npm run faults -- --only ${place.name}:${k}`)
    return false
  } finally {
    await ledger.close()
  }
}

/** Every K from `first` on, until nobody is killed any more. */
async function tryAll(lab: Lab, place: Place, first: number): Promise<void> {
  for (let k = first; ; k += 1) {
    if (isStopped) return say(`stopped; it goes on with --from ${place.name}:${k}`)
    if (k > most) {
      findings += 1
      return say(`✗ ${place.name}: more than ${most} calls`)
    }
    if (await tryAt(lab, place, k)) return tried(place, k - 1)
    if (k % LINE_EVERY === 0) say(`  ${place.name}:${k} · ${kills} kills, ${findings} findings`)
  }
}

function tried(place: Place, calls: number): void {
  // Then it is not where this looks for it.
  if (calls === 0) findings += 1
  say(`${calls === 0 ? '✗' : '✓'} ${place.name}: at each of ${calls} calls`)
}

const [only, from] = [placeOf('only'), placeOf('from')]
const lab = await openLab()
try {
  if (only?.[1] !== undefined) await tryAt(lab, PLACES[only[0]]!, only[1])
  else if (only) await tryAll(lab, PLACES[only[0]]!, 1)
  else
    for (const [i, place] of PLACES.entries())
      if (i >= (from?.[0] ?? 0) && !isStopped)
        await tryAll(lab, place, (i === from?.[0] && from[1]) || 1)
} finally {
  await lab.close()
}
say(`${kills} kills, ${findings} findings`)
process.exitCode = findings > 0 ? 1 : isStopped ? 130 : 0
