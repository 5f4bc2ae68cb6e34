// llama-server as an ordinary process, the tap loaded into it: no container and no seal, so that a test sees the very
// file that is handed over.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type HiddenStates, parseHiddenStates } from '../../embassy/src/activations/safetensors.ts'
import { compileLibrary, LOADER, provideLlama, SERVER } from './llama-cpp.ts'

export interface LlamaProcess {
  url: string
  /** Posts to an endpoint; the answer's status and JSON. */
  post(path: string, body: object): Promise<{ status: number; json: LlamaAnswer }>
  names(): string[]
  /** Empties the activations directory, as the embassy does before each session. */
  clear(): void
  /** What the only file there says; throws where there is none, or it is not whole. */
  handedOver(): HiddenStates
  stop(): Promise<void>
}

export interface LlamaAnswer {
  choices?: { message?: { content: string }; text?: string }[]
  usage?: {
    completion_tokens: number
    prompt_tokens: number
    prompt_tokens_details: { cached_tokens: number }
  }
}

export interface LlamaOptions {
  args?: readonly string[]
  /** Without the tap. */
  bare?: boolean
  env?: Record<string, string>
  /** Source of a C library that stands before the tap, between server and tap, or behind it. */
  before?: string
  behind?: string
  /** Size of the activations directory, a tmpfs of its own then. */
  bytes?: number
}

/** Throws with the server's own words when it does not start. */
export async function startLlama(options: LlamaOptions = {}): Promise<LlamaProcess> {
  const { args = [], bare, before, behind, bytes, env } = options
  const root = provideLlama()
  const directory = mkdtempSync(join(root, 'tmp', 'tap-'))
  if (bytes !== undefined)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'sealed-tap', directory])
  const compiled = (name: string, source: string | undefined) => {
    if (source === undefined) return []
    writeFileSync(join(root, 'tmp', `${name}.c`), source)
    compileLibrary(join(root, 'tmp', `${name}.c`), join(root, 'tmp', `${name}.so`))
    return [`/tmp/${name}.so`]
  }
  const libraries = [...compiled('before', before), '/tap.so', ...compiled('behind', behind)]
  const preload = bare ? [] : ['--preload', libraries.join(':')]
  const server = [`/${LOADER}`, ...preload, `/${SERVER}`]
  const flags = ['--model', '/model.gguf', '--host', '127.0.0.1', '--port', '0', '--offline']
  const all = [...server, ...flags, '--parallel', '1', '--threads', '1', ...args]
  const child = spawn('chroot', [root, ...all], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, ACTIVATIONS_DIR: `/tmp/${basename(directory)}`, ...env },
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve())).then(() => {
    if (bytes !== undefined) execFileSync('umount', [directory])
    rmSync(directory, { recursive: true })
  })
  const url = await new Promise<string>((resolve, reject) => {
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      log += chunk
      const at = /listening on (http:\S+)/.exec(log)?.[1]
      if (at) resolve(at)
    })
    child.once('error', reject)
    void ended.then(() => reject(new Error(log)))
  })
  const names = () => readdirSync(directory)
  return {
    url,
    names,
    async post(path, body) {
      const response = await fetch(url + path, { method: 'POST', body: JSON.stringify(body) })
      return { status: response.status, json: (await response.json()) as LlamaAnswer }
    },
    clear() {
      for (const name of names()) rmSync(join(directory, name))
    },
    handedOver() {
      const [name, ...others] = names()
      if (!name || others.length > 0) throw new Error(`not one file: ${names().join(', ')}`)
      return parseHiddenStates(readFileSync(join(directory, name)))
    },
    async stop() {
      // A SIGTERM that comes while it starts is lost.
      child.kill('SIGKILL')
      await ended
    },
  }
}
