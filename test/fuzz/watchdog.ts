// Ends a fuzzing run in which one input takes more than its time, and names the input.
import { writeSync } from 'node:fs'
import { workerData } from 'node:worker_threads'

const PATIENCE_MS = 20_000
const { names, progress, seed } = workerData as {
  names: string[]
  progress: Int32Array
  seed: number
}

let seen = ''
setInterval(() => {
  const [count, target] = [Atomics.load(progress, 0), Atomics.load(progress, 1)]
  const now = `${target} ${count}`
  if (now === seen) {
    writeSync(
      2,
      `✗ ${names[target]}: input ${count} of --seed ${seed} has taken more than ${PATIENCE_MS / 1000} s\n`,
    )
    process.kill(process.pid, 'SIGKILL')
  }
  seen = now
}, PATIENCE_MS)
