// What stands beside our doors in a comparison: the same server bare, behind nginx, and behind a bare Hono proxy.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const [BARE_PORT, NGINX_PORT, HONO_PORT] = [18_461, 18_462, 18_463]
const url = (port: number) => `http://127.0.0.1:${port}`

export interface Beside {
  bare: string
  nginx: string
  hono: string
  stop(): Promise<void>
}

/** Starts all three; resolves when each answers. */
export async function besides(workload: 'noop' | 'reference' = 'noop'): Promise<Beside> {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-bench-'))
  const config = join(directory, 'nginx.conf')
  await writeFile(config, nginxConfig(directory))
  const node = (path: string, env: Record<string, string>): ChildProcess =>
    spawn(process.execPath, [join(import.meta.dirname, path)], { env, stdio: 'ignore' })
  const children = [
    node(`../../workloads/${workload}/main.ts`, {
      ACTIVATIONS_DIR: directory,
      HOST: '127.0.0.1',
      PORT: String(BARE_PORT),
    }),
    node('hono-proxy.ts', { PORT: String(HONO_PORT), TARGET: url(BARE_PORT) }),
    spawn('nginx', ['-p', directory, '-c', config], { stdio: 'ignore' }),
  ]
  const stop = async () => {
    for (const child of children) child.kill('SIGTERM')
    await rm(directory, { recursive: true, force: true })
  }
  try {
    for (const port of [BARE_PORT, NGINX_PORT, HONO_PORT]) await answering(`${url(port)}/health`)
  } catch (error) {
    await stop()
    throw error
  }
  return { bare: url(BARE_PORT), nginx: url(NGINX_PORT), hono: url(HONO_PORT), stop }
}

async function answering(address: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const status = await fetch(address).then(
      (response) => response.status,
      () => 0,
    )
    if (status === 200) return
    await delay(50)
  }
  throw new Error(`${address} does not answer`)
}

const nginxConfig = (directory: string): string => `
daemon off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
worker_processes 1;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  upstream workload { server 127.0.0.1:${BARE_PORT}; keepalive 256; }
  server {
    listen 127.0.0.1:${NGINX_PORT};
    location / { proxy_pass http://workload; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off; }
  }
}
`
