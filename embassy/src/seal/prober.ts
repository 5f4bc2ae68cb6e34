// Runs inside a replica's network namespace and tries every way out that it is given, all at once.
// It says what answered, nothing else; whoever started it judges. Never imported: a program of its own.
//   node prober.ts '{"probes":[{"kind":"tcp","target":"198.19.0.0","port":22}],"wait_ms":150,"busybox":"/bin/busybox"}'
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import type { Probe } from './link.ts'

/** `refused`: a reset, which a firewall or a machine without a listener sends; `silent`: nothing came in time. */
type Answer = 'answered' | 'refused' | 'silent'

interface Task {
  readonly probes: readonly Probe[]
  readonly wait_ms: number
  readonly busybox: string
}

// A header with one question, and the question: which are the root's name servers?
const DNS_QUESTION = Buffer.from('5ea101000001000000000000' + '0000020001', 'hex')

const task = JSON.parse(process.argv[2] ?? '') as Task
const answers = await Promise.all(task.probes.map(attempt))
process.stdout.write(JSON.stringify(answers))
// Sockets that nobody answered are still open.
process.exit(0)

function attempt(probe: Probe): Promise<Answer> {
  switch (probe.kind) {
    case 'tcp':
      return bounded(tcp(probe))
    case 'udp':
      return bounded(udp(probe, Buffer.from('sealed?')))
    case 'dns':
      return bounded(udp(probe, DNS_QUESTION))
    case 'icmp':
      return tool([isIPv6(probe.target) ? 'ping6' : 'ping', '-c', '1', '-W', '1', probe.target])
    case 'raw':
      // A frame without IP: no rule that reads addresses ever sees it.
      return tool(['arping', '-f', '-c', '1', '-w', '1', '-I', 'eth0', probe.target])
  }
}

function tcp({ target, port = 0 }: Probe): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const socket = connect({ host: target, port })
  socket.once('connect', () => resolve('answered'))
  socket.once('error', (error: NodeJS.ErrnoException) =>
    resolve(error.code === 'ECONNREFUSED' ? 'refused' : 'silent'),
  )
  return promise
}

function udp({ target, port = 0 }: Probe, payload: Uint8Array): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const socket = createSocket(isIPv6(target) ? 'udp6' : 'udp4')
  socket.once('message', () => resolve('answered'))
  // Refused by an ICMP message: the datagram had reached a machine to be refused by.
  socket.once('error', (error: NodeJS.ErrnoException) =>
    resolve(error.code === 'ECONNREFUSED' ? 'answered' : 'silent'),
  )
  socket.connect(port, target, () => socket.send(payload))
  return promise
}

function tool(args: readonly string[]): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const child = spawn(task.busybox, args, { stdio: 'ignore' })
  // From its start, which on a busy machine may come late; it never outlives this program.
  child.once('spawn', () => setTimeout(() => child.kill('SIGKILL'), task.wait_ms))
  child.once('error', reject)
  child.once('exit', (code) => resolve(code === 0 ? 'answered' : 'silent'))
  return promise
}

async function bounded(answer: Promise<Answer>): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const timer = setTimeout(() => resolve('silent'), task.wait_ms)
  const first = await Promise.race([answer, promise])
  clearTimeout(timer)
  return first
}
