// The software TPM as a thing that is started, killed and started again: never half made, never left running.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openTpm } from '../embassy/src/tpm/index.ts'
import { startSoftwareTpm } from '../scripts/world/tpm.ts'
import { kill, killSwtpms, swtpmsUnder } from './support/software-tpm.ts'

let directory: string
const children: ChildProcess[] = []
const paths = () => ({ stateDir: join(directory, 'state'), socketPath: join(directory, 's') })
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-world-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await killSwtpms(directory)
  await rm(directory, { recursive: true })
})

/** Another process that starts the TPM of this directory and stays. */
function starter(env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const tpm = new URL('../scripts/world/tpm.ts', import.meta.url).href
  const script = `import { startSoftwareTpm } from ${JSON.stringify(tpm)}
    const { pid } = await startSoftwareTpm(${JSON.stringify(paths())})
    console.log(pid)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  })
  children.push(child)
  return child
}

test('the socket is root’s alone, the state keeps no key of the authority, stop leaves no process', async () => {
  const tpm = await startSoftwareTpm(paths())
  expect((await stat(tpm.socketPath)).mode & 0o777).toBe(0o600)
  expect((await stat(`${tpm.socketPath}.ctrl`)).mode & 0o777).toBe(0o600)
  const names = await readdir(paths().stateDir, { recursive: true })
  expect(names.filter((name) => name.endsWith('.key'))).toEqual([])
  expect(tpm.rootSha256).toMatch(/^[0-9a-f]{64}$/)
  await tpm.stop()
  expect(await swtpmsUnder(directory)).toEqual([])
  expect(existsSync(tpm.socketPath)).toBe(false)
  await tpm.stop()
})

test('a start killed at any moment of provisioning leaves nothing that the next one trips over', async () => {
  const stages = ['state', join('state', 'tpm2-00.permall'), join('work', 'ecc.ctx')]
  for (const stage of stages) {
    const child = starter()
    const exited = once(child, 'exit')
    const reached = async () => {
      const names = await readdir(paths().stateDir).catch(() => [])
      return names.some(
        (name) => name.startsWith('.prov') && existsSync(join(paths().stateDir, name, stage)),
      )
    }
    while (child.exitCode === null && !(await reached()));
    expect(child.exitCode, `started before ${stage} was seen`).toBe(null)
    child.kill('SIGKILL')
    await exited
    expect(existsSync(join(paths().stateDir, 'tpm'))).toBe(false)
  }
  const tpm = await startSoftwareTpm(paths())
  expect((await readdir(paths().stateDir)).filter((name) => name !== 'tpm')).toEqual([])
  expect(await swtpmsUnder(directory)).toEqual([String(tpm.pid)])
  const opened = await openTpm(tpm.socketPath)
  await opened.close()
  await tpm.stop()
})

test('a TPM that a killed process left is ended; one of a living process is not touched', async () => {
  const child = starter()
  const exited = once(child, 'exit')
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  const pid = String(line).trim()
  await expect(startSoftwareTpm(paths())).rejects.toThrow(`in use: swtpm ${pid}`)
  expect(await swtpmsUnder(directory)).toEqual([pid])
  child.kill('SIGKILL')
  await exited
  expect(await swtpmsUnder(directory)).toEqual([pid])
  const tpm = await startSoftwareTpm(paths())
  expect(await swtpmsUnder(directory)).toEqual([String(tpm.pid)])
  await kill(tpm.pid)
  const again = await startSoftwareTpm(paths())
  await again.stop()
})

test('a tool that is not installed is named with its package', async () => {
  const child = starter({ ...process.env, PATH: '/nonexistent' })
  const exited = once(child, 'exit')
  const [text] = (await once(child.stderr!, 'data')) as [Buffer]
  expect(String(text)).toMatch(/(swtpm|openssl) is not installed: run scripts\/setup, or apt-get/)
  expect((await exited)[0]).toBe(1)
})

test('a socket path that the system would cut is refused', async () => {
  const socketPath = join(directory, 'x'.repeat(120))
  await expect(startSoftwareTpm({ ...paths(), socketPath })).rejects.toThrow(/at most 102 bytes/)
})
