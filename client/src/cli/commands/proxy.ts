// proxy: a local OpenAI endpoint for any language, sealed behind it. It never listens beyond the loopback: whoever could
// reach it would send prompts in clear across a network, and is served better by a proxy of his own.
import type { Io } from '../io.ts'
import { painter, plainLine } from '../io.ts'
import type { Line } from '../proxy/server.ts'
import { attestOptions, type CommonFlags } from '../settings.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'

const GRACE_MS = 30_000

export interface ProxyFlags extends CommonFlags {
  port: number
  strict?: boolean
  workload?: string
}

export async function proxyCommand(io: Io, flags: ProxyFlags): Promise<Exit> {
  // The key of a request is its caller's; one of the proxy's own would be everybody's on this machine.
  const { apiKey: _, ...options } = await attestOptions(flags, io)
  // Loaded here alone: no other command needs an HTTP server.
  const { startProxy } = await import('../proxy/server.ts')
  const proxy = await startProxy({
    ...options,
    port: flags.port,
    strict: flags.strict ?? false,
    now: io.now,
    onEnd: (line) => void io.stderr.write(`${lineOf(line, io, flags.json ?? false)}\n`),
    ...(flags.workload !== undefined && { workload: flags.workload }),
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') throw error
    throw new UsageError(`cannot listen on 127.0.0.1:${flags.port} (${error.code})`, 'port')
  })
  const { name } = options.policy
  const ready = { url: `${proxy.url}/v1`, gateway: options.url, policy: name }
  io.stdout.write(
    flags.json
      ? `${JSON.stringify(ready)}\n`
      : `${ready.url} is sealed: ${plainLine(options.url)}, attested before it is asked, under policy ${plainLine(name)}; ${proxy.url}/verdicts\n`,
  )
  await io.interrupted()
  await proxy.close(GRACE_MS)
  return EXIT.ok
}

const STYLE = { verified: 'green', unread: 'dim' } as const

/** `12:00:00 9f0c… POST /v1/chat/completions 200 verified receipt 4a… 812 ms`. */
function lineOf(line: Line, io: Io, json: boolean): string {
  if (json) return JSON.stringify(line)
  const { at_ms, code, failed, id, method, outcome, path, receipt_id, status, took_ms } = line
  const style = outcome === 'verified' || outcome === 'unread' ? STYLE[outcome] : 'red'
  return [
    new Date(at_ms).toISOString().slice(11, 19),
    id,
    `${method} ${plainLine(path)}`,
    String(status),
    painter(io, 'stderr')(style, outcome === 'none' ? 'no verdict' : outcome),
    ...(code === null ? [] : [`[${code}]`]),
    ...(failed.length === 0 ? [] : [`failed ${failed.join(' ')}`]),
    ...(receipt_id === null ? [] : [`receipt ${plainLine(receipt_id)}`]),
    `${took_ms} ms`,
  ].join(' ')
}
