// The gateway's process on Node: `node gateway/src/node.ts --config sealed.json`. The one place of this room that reads
// arguments and environment; it writes one line when it listens, and JSON lines about requests to stderr. SIGHUP makes
// it look at its API keys at once, SIGUSR2 ask for another public certificate.
import process from 'node:process'
import { SealedError } from '@sealed/protocol'
import { readDeployment } from './node/settings.ts'
import { startGateway } from './node/start.ts'

async function main(): Promise<void> {
  const deployment = await readDeployment(process.argv.slice(2), process.env)
  const gateway = await startGateway(deployment)
  process.on('SIGHUP', () => void gateway.readKeys())
  process.on('SIGUSR2', () => gateway.renewCertificate())
  let stopping = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (stopping) return
      stopping = true
      void gateway.close(deployment.gateway.grace_ms).then(() => process.exit(0))
    })
  // Who reads it may send a signal.
  process.stdout.write(`gateway listening on ${gateway.url}\n`)
}

main().catch((error: unknown) => {
  const known = error instanceof SealedError
  process.stderr.write(`gateway: ${known ? `${error.code}: ${error.message}` : String(error)}\n`)
  process.exitCode = 1
})
