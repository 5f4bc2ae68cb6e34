// `npm start`: keeps the default instance running in the foreground and says what to try.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { REPOSITORY } from './instance/paths.ts'
import { unsealedFlag, unsealedParagraph } from './instance/unsealed.ts'
import { type Instance, up } from './up.ts'

const PORT = Number(process.env.PORT ?? 8080)
const ADMIN_PORT = Number(process.env.ADMIN_PORT ?? 9464)
/** Asks for API keys, those that `sealed key` makes; without it whoever reaches the loopback may call. */
const KEYS = process.env.API_KEYS ? { apiKeys: [] } : {}
const say = (line: string) => process.stdout.write(`${line}\n`)
const { values } = parseArgs({ options: { unsealed: { type: 'string' } } })
const unsealed = unsealedFlag(values.unsealed)
/** Said before and after anything else is. */
const warn = () => unsealed && say(unsealedParagraph(unsealed))
warn()

const instance = await up(
  join(REPOSITORY, '.sealed', 'default'),
  {
    workload: 'reference',
    port: PORT,
    adminPort: ADMIN_PORT,
    ...KEYS,
    ...(unsealed && { unsealed }),
  },
  say,
).catch((error: Error) => {
  process.stderr.write(`it does not start: ${error.message}\n`)
  warn()
  process.exit(1)
})
const port = new URL(instance.url).port
say(`
ready: ${instance.url}

  an ordinary client, through the plain door:
    curl ${instance.url}/v1/chat/completions -H 'content-type: application/json' \\
      -d '{"model":"sealed-demo","messages":[{"role":"user","content":"What is a horse?"}]}'

${unsealed ? refused(instance) : sealed(instance)} Logs: ${instance.paths.logs}
Port ${port}; another one with PORT=… npm start. Ctrl-C stops everything.`)
let stopping = false
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    if (stopping) return
    stopping = true
    say('stopping')
    void instance.stop(true).then(() => {
      warn()
      process.exit(0)
    })
  })

function sealed({ paths, url }: Instance): string {
  return `  end to end, attested, sealed and verified:
    npx sealed ask --url ${url} --policy ${paths.policy} 'What is a horse?'

The TPM is software: any policy but that file refuses it.`
}

function refused({ paths, url }: Instance): string {
  return `  end to end: it refuses this machine, sends nothing, and says why:
    npx sealed ask --url ${url} --policy ${paths.policy} 'What is a horse?'

NOTHING IS SEALED HERE: no policy accepts a receipt of this machine, that file neither.`
}
