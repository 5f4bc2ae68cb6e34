// CPU time of processes, from the kernel's own accounts, to the nanosecond.
import { openSync, readdirSync, readFileSync, readSync } from 'node:fs'

const LINE = Buffer.alloc(128)

/**
 * What a process has spent on a CPU, in milliseconds, all threads that it has now together. Made once for many readings:
 * each takes some microseconds a thread. A reading throws when the process has ended.
 */
export function accountOf(pid: number): () => number {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) =>
    openSync(`/proc/${pid}/task/${thread}/schedstat`, 'r'),
  )
  return () => {
    let total = 0
    for (const thread of threads) {
      const length = readSync(thread, LINE, 0, LINE.length, 0)
      total += Number(LINE.toString('latin1', 0, length).split(' ')[0])
    }
    return total / 1e6
  }
}

/** Milliseconds that the children of a process had spent that have ended, in the kernel's ticks of 10 ms. */
export function endedChildrenMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // Field 2 may hold spaces; cutime and cstime are fields 16 and 17.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return 10 * (Number(fields[13]) + Number(fields[14]))
}

/** A child of a process, by words in its command line. */
export function childOf(pid: number, words: string): number {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const parent = Number(
        /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${entry}/status`, 'utf8'))?.[1],
      )
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ')
      if (parent === pid && command.includes(words)) return Number(entry)
    } catch {
      // It ended while we looked.
    }
  }
  throw new Error(`process ${pid} has no child ${words}`)
}
