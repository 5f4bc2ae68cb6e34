// What stands in the place of firewall, container engine and images where there is none: it starts nothing that was not
// listed, on the loopback, and no reading of a seal can be had from it.
//
// Mutants that turn this red: a list, or a file of it, that is not hashed; a main file that need not be listed; HOST left to
// the workload's file; a removed process that is not killed; a seal, check or verify that answers; end-with-parent.ts empty.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ReplicaLink } from '../seal/index.ts'
import { createAbsentSeal } from './absent-seal.ts'
import { createChildProcesses } from './child-processes.ts'

const invalid = expect.objectContaining({ code: 'config.invalid' })
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const TELLS = `
import { writeFileSync } from 'node:fs'
writeFileSync(process.env.ACTIVATIONS_DIR + '/told', JSON.stringify({ pid: process.pid, uid: process.getuid(), ...process.env }))
setInterval(() => {}, 1000)
`
let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-program-'))
})
afterEach(() => rm(directory, { recursive: true }))

/** A program of one file; what is returned is its list. */
async function program(change: (list: Record<string, unknown>) => void = () => {}) {
  const main = join(directory, 'main.mjs')
  await writeFile(main, TELLS)
  const list = { files: [{ digest: sha256(TELLS), path: main }], main, version: 1 }
  change(list)
  const text = JSON.stringify(list)
  const path = join(directory, 'program.json')
  await writeFile(path, text)
  return { path, main, image: sha256(text) }
}
const specOf = (image: string) => ({
  name: 'sealed-0000-0-workload',
  image,
  instance: '0000',
  pause: '',
  env: [
    { name: 'PORT', value: '1234' },
    { name: 'HOST', value: '0.0.0.0' },
  ],
  memoryBytes: 1,
  pids: 1,
  activations: directory,
})
async function told(): Promise<Record<string, unknown>> {
  for (;;) {
    const text = await readFile(join(directory, 'told'), 'utf8').catch(() => '')
    if (text.endsWith('}')) return JSON.parse(text) as Record<string, unknown>
    await delay(20)
  }
}
const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('a program', () => {
  test('is not started under another digest, with another file, or without its main file', async () => {
    const containers = createChildProcesses()
    const { path, main, image } = await program()
    await expect(containers.loadImage(path, sha256('other'))).rejects.toEqual(invalid)
    await expect(containers.loadImage(join(directory, 'none'), image)).rejects.toEqual(invalid)
    await writeFile(main, `${TELLS}\n`)
    await expect(containers.loadImage(path, image)).rejects.toEqual(invalid)
    await rm(main)
    await expect(containers.loadImage(path, image)).rejects.toEqual(invalid)
    await expect(containers.startWorkload(specOf(image))).rejects.toEqual(invalid)
    const changes: ((list: Record<string, unknown>) => void)[] = [
      (list) => (list.main = '/bin/sh'),
      (list) => (list.files = []),
      (list) => (list.version = 2),
      (list) => (list.command = ['/bin/sh']),
    ]
    for (const change of changes) {
      const other = await program(change)
      await expect(containers.loadImage(other.path, other.image)).rejects.toEqual(invalid)
    }
  })

  test('runs as a child with its own environment alone, on the loopback, until it is removed', async () => {
    const containers = createChildProcesses()
    const { path, image } = await program()
    await containers.loadImage(path, image)
    const { id } = await containers.startWorkload(specOf(image))
    const { pid, uid, ...env } = (await told()) as Record<string, unknown> & { pid: number }
    expect(uid).toBe(process.getuid!())
    expect(env).toMatchObject({ ACTIVATIONS_DIR: directory, HOST: '127.0.0.1', PORT: '1234' })
    expect(env).not.toHaveProperty('PATH')
    expect(env).not.toHaveProperty('HOME')
    expect(await containers.inspect(id)).toMatchObject({ running: true, pid, image })
    const ended = containers.ended(id)
    await containers.remove(id)
    expect(await ended).toEqual({ exitCode: 137, outOfMemory: false })
    expect(isThere(pid)).toBe(false)
    await containers.remove(id)
  })

  test('ends by itself when whoever started it is killed', async () => {
    const { path, image } = await program()
    const script = `
      const { createChildProcesses } = await import(${JSON.stringify(new URL('./child-processes.ts', import.meta.url).href)})
      const containers = createChildProcesses()
      await containers.loadImage(${JSON.stringify(path)}, ${JSON.stringify(image)})
      await containers.startWorkload(${JSON.stringify(specOf(image))})
      setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script])
    const { pid } = (await told()) as { pid: number }
    expect(isThere(pid)).toBe(true)
    parent.kill('SIGKILL')
    for (let tries = 0; isThere(pid) && tries < 200; tries++) await delay(20)
    expect(isThere(pid)).toBe(false)
  })
})

describe('an absent seal', () => {
  const seal = createAbsentSeal({ relayPorts: [61_000, 61_999], embassyPort: 7100 })
  const spec = { replica: 0, generation: 0, workloadPort: 8000, egress: [] }

  test('answers no question about a firewall', async () => {
    const link: ReplicaLink = await seal.attach(process.pid, spec)
    const asked = [seal.seal(link), seal.check(link), seal.verify(link), seal.release(link)]
    for (const answer of asked)
      await expect(answer).rejects.toEqual(expect.objectContaining({ code: 'seal.failed' }))
    expect(await seal.probe(link, process.pid)).toMatchObject({ blocked: 0, reached: 0 })
  })

  test('leads to a port of the loopback where nobody listens, another one each time', async () => {
    const links = await Promise.all([seal.attach(1, spec), seal.attach(1, spec)])
    expect(new Set(links.map(({ workloadPort }) => workloadPort)).size).toBe(2)
    for (const { workloadAddress4, workloadPort } of links) {
      expect(workloadAddress4).toBe('127.0.0.1')
      const socket = connect({ host: workloadAddress4, port: workloadPort })
      await expect(
        new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject)),
      ).rejects.toThrow('ECONNREFUSED')
    }
  })
})
