// Serves a workload on a free port of the loopback for one test, with an activations directory of its own.
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAiServer, type Workload } from '../server/openai-server.ts'

export const CHAT = '/v1/chat/completions'

interface Init {
  path?: string
  signal?: AbortSignal
  headers?: Record<string, string>
}

export interface Serving {
  server: Server
  url: string
  activations: string
  post(body: unknown, init?: Init): Promise<Response>
  /** Names in the activations directory. */
  dropped(): string[]
  close(): Promise<void>
}

export async function serving(workload: Workload): Promise<Serving> {
  const activations = mkdtempSync(join(tmpdir(), 'workload-test-'))
  const before = process.env.ACTIVATIONS_DIR
  process.env.ACTIVATIONS_DIR = activations
  const server = openAiServer(workload).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    server,
    url,
    activations,
    post: (body, { path = CHAT, signal, headers = {} } = {}) =>
      fetch(url + path, {
        method: 'POST',
        headers,
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...(signal && { signal }),
      }),
    dropped: () => readdirSync(activations),
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
      rmSync(activations, { recursive: true, force: true })
      if (before === undefined) delete process.env.ACTIVATIONS_DIR
      else process.env.ACTIVATIONS_DIR = before
    },
  }
}

export interface Tensor {
  dtype: string
  shape: number[]
  bytes: Buffer
}

/** A safetensors file, read by its definition and nothing of ours. */
export function readTensors(path: string): {
  metadata: Record<string, string>
  tensors: Map<string, Tensor>
  size: number
} {
  const file = readFileSync(path)
  const start = 8 + Number(file.readBigUInt64LE(0))
  const { __metadata__, ...entries } = JSON.parse(file.toString('utf8', 8, start)) as {
    __metadata__: Record<string, string>
    [name: string]: object
  }
  const tensors = new Map(
    Object.entries(entries).map(([name, entry]) => {
      const { dtype, shape, data_offsets } = entry as Omit<Tensor, 'bytes'> & {
        data_offsets: [number, number]
      }
      const [from, to] = data_offsets
      return [name, { dtype, shape, bytes: file.subarray(start + from, start + to) }]
    }),
  )
  return { metadata: __metadata__, tensors, size: file.length }
}
