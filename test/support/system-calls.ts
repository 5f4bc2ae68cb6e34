// System calls made from inside a container by a perl program, and those that decide what a workload could do past a
// packet filter: sockets of other families, and calls that lead out of the container.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Containers, WorkloadSpec } from '../../embassy/src/containers/index.ts'

export interface Outcome {
  readonly exitCode: number
  readonly outOfMemory: boolean
  readonly result: string
}

/**
 * Runs a perl program in a hardened container made after `spec`; what it writes to the handle RESULT is the outcome.
 * `directory` is the container's `/activations`.
 */
export async function inside(
  containers: Containers,
  directory: string,
  spec: (command: readonly string[], more: Partial<WorkloadSpec>) => WorkloadSpec,
  program: string,
): Promise<Outcome> {
  await rm(join(directory, 'result'), { force: true })
  const whole = `open(RESULT, '>', '/activations/result') or exit 99; ${program}; close(RESULT)`
  const { id } = await containers.startWorkload(
    spec(['/usr/bin/perl', '-e', whole], { activations: directory }),
  )
  const end = await containers.ended(id)
  await containers.remove(id)
  return { ...end, result: await readFile(join(directory, 'result'), 'utf8') }
}

/** Makes one system call and writes the error number, 0 for none. */
export const tryCall = ([number, ...args]: readonly number[]): string =>
  `print RESULT (syscall(${[number, ...args].join(', ')}) < 0 ? $! + 0 : 0)`

/** Their numbers on this processor. */
export const CALLS = process.arch === 'arm64' ? armCalls() : intelCalls()

function intelCalls() {
  return {
    ...{ socket: 41, io_uring_setup: 425, unshare: 272, setns: 308, mount: 165, ptrace: 101 },
    ...{ bpf: 321, perf_event_open: 298, userfaultfd: 323, keyctl: 250, process_vm_readv: 310 },
  }
}

function armCalls() {
  return {
    ...{ socket: 198, io_uring_setup: 425, unshare: 97, setns: 268, mount: 40, ptrace: 117 },
    ...{ bpf: 280, perf_event_open: 241, userfaultfd: 282, keyctl: 219, process_vm_readv: 270 },
  }
}

/** Name, family, type, protocol. */
export type SocketKind = readonly [name: string, family: number, type: number, protocol: number]

export const OPEN_SOCKETS: readonly SocketKind[] = [
  ['AF_UNIX', 1, 1, 0],
  ['TCP', 2, 1, 0],
  ['UDP', 2, 2, 17],
  ['TCP over IPv6', 10, 1, 6],
  ['TCP that does not block', 2, 0o4001, 0],
  ['routes', 16, 3, 0],
]

export const SHUT_SOCKETS: readonly SocketKind[] = [
  ['AF_VSOCK', 40, 1, 0],
  ['AF_VSOCK datagrams', 40, 2, 0],
  ['AF_PACKET', 17, 3, 0],
  ['raw IPv4', 2, 3, 253],
  ['raw IPv6', 10, 3, 253],
  ['ping', 2, 2, 1],
  ['ping6', 10, 2, 58],
  ['MPTCP', 2, 1, 262],
  ['SCTP', 2, 1, 132],
  ['AF_ALG', 38, 5, 0],
  ['AF_TIPC', 30, 1, 0],
  ['AF_XDP', 44, 3, 0],
  ['netfilter', 16, 3, 12],
  ['kernel events', 16, 3, 15],
]
