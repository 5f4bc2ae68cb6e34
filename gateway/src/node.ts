// The gateway's process on Node: `node gateway/src/node.ts --config sealed.json`. The one place of this room that reads
// arguments and environment; it writes one line when it listens and one per failure that nobody foresaw. SIGHUP makes it look at its API keys at once.
import process from 'node:process'
import { SealedError } from '@sealed/protocol'
import { readDeployment } from './node/settings.ts'
import { startGateway } from './node/start.ts'

/** No message: an unforeseen error may quote a body. Name, code and where it happened are enough to find it. */
function report(error: unknown, requestId: string): void {
  const { name, code, stack } = error as { name?: string; code?: string; stack?: string }
  const at = stack?.split('\n').filter((line) => /^\s+at /.test(line))
  process.stderr.write(`${JSON.stringify({ request_id: requestId, name, code, at })}\n`)
}

function keysFault(reason: string): void {
  process.stderr.write(`${JSON.stringify({ message: 'API keys cannot be read', reason })}\n`)
}

async function main(): Promise<void> {
  const deployment = await readDeployment(process.argv.slice(2), process.env)
  const gateway = await startGateway(deployment, { report, keysFault })
  process.stdout.write(`gateway listening on ${gateway.url}\n`)
  process.on('SIGHUP', () => void gateway.readKeys())
  let stopping = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (stopping) return
      stopping = true
      void gateway.close(deployment.gateway.grace_ms).then(() => process.exit(0))
    })
}

main().catch((error: unknown) => {
  const known = error instanceof SealedError
  process.stderr.write(`gateway: ${known ? `${error.code}: ${error.message}` : String(error)}\n`)
  process.exitCode = 1
})
