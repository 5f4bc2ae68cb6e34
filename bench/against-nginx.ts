// The same no-op server: bare, behind nginx, behind our plain door, behind our envelope door; in turns, in one run.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ask, attest } from '@sealed/client'
import { parsePolicy } from '@sealed/protocol'
import { Agent, request as undiciRequest } from 'undici'
import type { Instance } from '../scripts/up.ts'
import { median, ms, quantile, table } from './support/table.ts'

const ROUNDS = 3
const REQUESTS = 60
const CONNECTIONS = [1, 8]
const ENDPOINT = '/v1/chat/completions'
const BODY = JSON.stringify({ model: 'noop', messages: [{ role: 'user', content: 'hello' }] })
const [BARE_PORT, NGINX_PORT] = [18_461, 18_462]

export async function benchAgainstNginx(instance: Instance): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-bench-'))
  const workload = spawn(
    process.execPath,
    [join(import.meta.dirname, '../workloads/noop/main.ts')],
    {
      env: { PORT: String(BARE_PORT), HOST: '127.0.0.1', ACTIVATIONS_DIR: directory },
      stdio: 'ignore',
    },
  )
  const config = join(directory, 'nginx.conf')
  await writeFile(config, nginxConfig(directory))
  const nginx = spawn('nginx', ['-p', directory, '-c', config], { stdio: 'ignore' })
  const agent = new Agent({ connections: 64 })
  try {
    const policy = parsePolicy(await readFile(instance.paths.policy, 'utf8'))
    const attested = await attest({ url: instance.url, policy })
    const post = (base: string) => async () => {
      const { statusCode, body } = await undiciRequest(`${base}${ENDPOINT}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: BODY,
        dispatcher: agent,
      })
      await body.dump()
      if (statusCode !== 200) throw new Error(`${base} answered ${statusCode}`)
    }
    const paths: [string, () => Promise<unknown>][] = [
      ['the workload, bare', post(`http://127.0.0.1:${BARE_PORT}`)],
      ['nginx in front of it', post(`http://127.0.0.1:${NGINX_PORT}`)],
      ['plain door, sealed and metered', post(instance.url)],
      [
        'envelope door, verified too',
        () => ask({ attested, endpoint: ENDPOINT, body: new TextEncoder().encode(BODY) }),
      ],
    ]
    for (const [, call] of paths.slice(0, 2)) await answering(call)
    for (const connections of CONNECTIONS) await compare(paths, connections)
  } finally {
    nginx.kill('SIGQUIT')
    workload.kill('SIGTERM')
    await agent.close()
    await rm(directory, { recursive: true, force: true })
  }
}

async function compare(
  paths: readonly [string, () => Promise<unknown>][],
  connections: number,
): Promise<void> {
  const walls = paths.map((): number[] => [])
  const rates = paths.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, [, call]] of paths.entries()) {
      const from = performance.now()
      await Promise.all(
        Array.from({ length: connections }, async () => {
          for (let n = 0; n < REQUESTS / connections; n++) {
            const start = performance.now()
            await call()
            walls[i]!.push(performance.now() - start)
          }
        }),
      )
      rates[i]!.push((1000 * REQUESTS) / (performance.now() - from))
    }
  const nginx = median(walls[1]!)
  table(
    `against nginx, ${connections} at a time, one replica, ${ROUNDS} rounds of ${REQUESTS}`,
    ['', 'median ms', 'p99 ms', 'requests/s', 'times nginx'],
    paths.map(([name], i) => [
      name,
      ms(median(walls[i]!)),
      ms(quantile(walls[i]!, 0.99)),
      median(rates[i]!).toFixed(0),
      (median(walls[i]!) / nginx).toFixed(1),
    ]),
  )
}

async function answering(call: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      await call()
      return
    } catch {
      await delay(50)
    }
  }
  await call()
}

const nginxConfig = (directory: string): string => `
daemon off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  upstream workload { server 127.0.0.1:${BARE_PORT}; keepalive 16; }
  server {
    listen 127.0.0.1:${NGINX_PORT};
    location / { proxy_pass http://workload; proxy_http_version 1.1; proxy_set_header Connection ''; }
  }
}
`
