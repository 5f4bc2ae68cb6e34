// What is supervised stops by itself when its supervisor is killed. Mutants: no guard; a guard that keeps it alive.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const SUPERVISOR = new URL('supervisor.ts', import.meta.url).href

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-supervised-'))
})
afterEach(() => rm(directory, { recursive: true }))

/** A process that supervises `program`; resolves when that has said `ready` in its log. */
async function supervise(program: string) {
  const [main, log] = [join(directory, 'main.mjs'), join(directory, 'log')]
  await writeFile(main, program)
  const script = `import { Supervised } from ${JSON.stringify(SUPERVISOR)}
    new Supervised('it', [${JSON.stringify(main)}], ${JSON.stringify(log)}).start()`
  const args = ['--input-type=module', '--eval', script]
  const supervisor = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] })
  const said = async (word: string) => {
    while (!(await readFile(log, 'utf8').catch(() => '')).includes(word))
      await new Promise((resolve) => setImmediate(resolve))
  }
  return { supervisor, said }
}

test('what it supervises is told to stop when it is killed', async () => {
  const { supervisor, said } = await supervise(`
    process.on('SIGTERM', () => { console.log('stopped'); process.exit(0) })
    setInterval(() => {}, 1_000)
    console.log('ready')`)
  await said('ready')
  supervisor.kill('SIGKILL')
  await said('stopped')
})

test('what has nothing left to do ends, and is started again', async () => {
  const { supervisor, said } = await supervise(`console.log('ready')`)
  let errors = ''
  supervisor.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk
  })
  await said('ready\nready')
  supervisor.kill('SIGKILL')
  await once(supervisor, 'exit')
  expect(errors).toContain('it ended (0)')
})
