// The embassy's process: reads the configuration, measures it, and only then starts anything that could act on it.
// Runs as root (firewall, containers, TPM) until it is told to stop; stops everything that it started.
import { readFile } from 'node:fs/promises'
import { parseDeployment, SealedError } from '@sealed/protocol'
import { startEmbassy } from './embassy.ts'
import { log } from './log.ts'

const configPath = process.argv[2] === '--config' ? process.argv[3] : process.env.SEALED_CONFIG

try {
  const path = configPath ?? '/etc/sealed/sealed.json'
  const deployment = parseDeployment(
    await readFile(path).catch(() => {
      throw new SealedError(
        'config.invalid',
        `no configuration at ${path}: pass --config FILE or set SEALED_CONFIG`,
      )
    }),
  )
  const embassy = await startEmbassy(deployment, log)
  let stopping = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      // Ctrl-C reaches it twice: from the terminal, and from who started it.
      if (stopping) return
      stopping = true
      log('stopping', { signal })
      void embassy.stop().then(() => process.exit(0))
    })
  log('embassy ready', { id: deployment.id })
} catch (error) {
  const known = error instanceof SealedError
  log('embassy does not start', {
    code: known ? error.code : 'internal.error',
    reason: known ? error.message : String((error as Error).stack),
  })
  process.exit(1)
}
