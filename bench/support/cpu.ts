// CPU time of processes, from the kernel's own accounts, to the nanosecond.
import { readdirSync, readFileSync } from 'node:fs'

/** Milliseconds that a process has spent on a CPU, all threads that are alive together. */
export function cpuMs(pid: number): number {
  let total = 0
  for (const thread of readdirSync(`/proc/${pid}/task`))
    total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
  return total / 1e6
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
