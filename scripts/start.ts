// `npm start`: keeps the default instance running in the foreground and says what to try.
import { join } from 'node:path'
import { REPOSITORY } from './instance/paths.ts'
import { up } from './up.ts'

const PORT = Number(process.env.PORT ?? 8080)
const ADMIN_PORT = Number(process.env.ADMIN_PORT ?? 9464)
/** Asks for API keys, those that `sealed key` makes; without it whoever reaches the loopback may call. */
const KEYS = process.env.API_KEYS ? { apiKeys: [] } : {}
const say = (line: string) => process.stdout.write(`${line}\n`)

const instance = await up(
  join(REPOSITORY, '.sealed', 'default'),
  { workload: 'reference', port: PORT, adminPort: ADMIN_PORT, ...KEYS },
  say,
).catch((error: Error) => {
  process.stderr.write(`it does not start: ${error.message}\n`)
  process.exit(1)
})
const port = new URL(instance.url).port
say(`
ready: ${instance.url}

  an ordinary client, through the plain door:
    curl ${instance.url}/v1/chat/completions -H 'content-type: application/json' \\
      -d '{"model":"sealed-demo","messages":[{"role":"user","content":"What is a horse?"}]}'

  end to end, attested, sealed and verified:
    npx sealed ask --url ${instance.url} --policy ${instance.paths.policy} 'What is a horse?'

The TPM is software: any policy but that file refuses it. Logs: ${instance.paths.logs}
Port ${port}; another one with PORT=… npm start. Ctrl-C stops everything.`)
const stop = () => {
  say('stopping')
  void instance.stop(true).then(() => process.exit(0))
}
process.once('SIGINT', stop)
process.once('SIGTERM', stop)
