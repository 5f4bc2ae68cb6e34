// A machine that cannot seal, as its user has it: no root, no Docker, no TPM. The demo and the service run the protocol all
// the same, say before and after that nothing is sealed, and nothing that they give out verifies.
//
// Mutants that turn this red: a demo or start without its paragraph at either end; `sealed` asking what did not verify; the
// command that does ending with 0; a session's statements without `seal.absent` or `tpm.absent`, a reading's without the
// latter; a workload that listens beyond the loopback; one that outlives its embassy; a start that refuses its own state.
import { type ChildProcess, execFile } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  decodeReceipt,
  parseAttestationDocument,
  parsePolicy,
  STRICT_POLICY,
  utf8,
  verifyReceipt,
} from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BARE_UID, BareUser } from './support/bare-user.ts'
import { eventually, readReply, typesOf } from './support/instance.ts'

const exec = promisify(execFile)
const PARAGRAPH =
  /\nTHIS MACHINE CANNOT SEAL: .*nothing here is sealed and nothing is attested.*--privileged.*\n/g
const SEALED = ['node_modules/.bin/node', 'client/bin/sealed.ts']
let user: BareUser
beforeAll(async () => {
  user = await BareUser.create()
})
afterAll(() => user?.remove())

test('this user reaches no Docker engine, no firewall and no TPM', async () => {
  const tries = ['test -r /var/run/docker.sock', 'nft list tables', 'test -r /dev/tpmrm0']
  for (const tried of tries) expect((await user.run(['sh', '-c', tried])).code, tried).not.toBe(0)
})

test('the demo writes, updates and reads, and no receipt of it verifies', {
  timeout: 240_000,
}, async () => {
  const kept = join(user.clone, 'transcript.json')
  const { code, text } = await user.run(['npm', 'run', 'demo', '--', '--transcript', kept])
  expect(code, text).toBe(0)
  expect(text.match(PARAGRAPH)).toHaveLength(2)
  // Before anything else is said but by npm and set-up, and after everything.
  expect(text.slice(0, text.search(PARAGRAPH))).toMatch(/^[^·$]*sealing needs root.*\n$/)
  expect(text.trimEnd().endsWith('--cgroupns=private.')).toBe(true)
  expect(text).toMatch(/\nanimals 1, computing-jargon \S+\n/)
  expect(text).not.toMatch(/verified under policy/)
  expect(text.match(/^\$ sealed verify /gm)!.length).toBeGreaterThan(8)
  expect(await user.processes()).toEqual([])
  await unprovable(kept)
})

describe('npm start', () => {
  let service: ChildProcess
  let said = ''
  let url: string

  async function start(): Promise<void> {
    said = ''
    service = user.spawn(['npm', 'start'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PORT: '0', ADMIN_PORT: '0' },
    })
    for (const stream of [service.stdout!, service.stderr!])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        said += chunk
      })
    url = await eventually('ready', async () => {
      if (service.exitCode !== null) throw new Error(said)
      return /^ready: (\S+)$/m.exec(said)?.[1]
    })
  }
  async function stop(): Promise<void> {
    const [first] = (await pids('scripts/start.ts')) as [number]
    const ended = new Promise((resolve) => service.once('close', resolve))
    process.kill(first, 'SIGTERM')
    await ended
  }
  async function pids(of: string): Promise<number[]> {
    const { stdout } = await exec('ps', ['-o', 'pid=,args=', '-U', String(BARE_UID)])
    const lines = stdout.split('\n').filter((line) => line.includes(of) && !line.includes('sh -c'))
    return lines
      .filter((line) => / node /.test(line) || /bin\/node /.test(line))
      .map(Number.parseFloat)
  }
  const chat = async (content: string) => {
    const messages = [{ role: 'user', content }]
    return readReply(
      await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'sealed-demo', seed: 1, messages }),
      }),
    )
  }
  const serving = () =>
    eventually('an answer', async () => {
      const reply = await chat('What is a horse?').catch(() => undefined)
      return reply?.status === 200 ? reply : undefined
    })
  beforeAll(start)
  afterAll(async () => {
    if (service.exitCode === null) await stop()
  })

  test('says before that nothing is sealed', () => {
    expect(said.match(PARAGRAPH)).toHaveLength(1)
    expect(said.search(PARAGRAPH)).toBeLessThan(said.indexOf('ready: '))
    expect(said).toContain('NOTHING IS SEALED HERE')
  })

  test('answers an ordinary client, with a receipt that says there was neither seal nor TPM', async () => {
    const reply = await chat('What is a horse?')
    expect(reply.status).toBe(200)
    expect(typesOf(reply.receipt!)).toEqual([
      'request.received',
      'seal.absent',
      'tpm.absent',
      'input_key.revealed',
      'activations.observed',
      'registry.applied',
      'output.committed',
      'response.released',
    ])
    const receipt = decodeReceipt(reply.receipt!)
    expect(receipt.quote).toBeUndefined()
    expect(receipt.checkpoint).toMatch(/\nboot absent\n\n/)
    await writeFile(join(user.clone, 'answer.json'), reply.bytes)
  })

  test('sealed verify fails under every policy there is here, and says why', async () => {
    const strict = await user.run([...SEALED, 'verify', 'answer.json', '--url', url])
    const dev = await user.run([
      ...SEALED,
      'verify',
      'answer.json',
      '--url',
      url,
      '--policy',
      'dev',
    ])
    for (const { code, text } of [strict, dev]) {
      expect(code).toBe(1)
      expect(text).toMatch(
        /✗ receipt.configuration +seal.absent: this machine neither seals nor has a TPM/,
      )
      expect(text).toMatch(/✗ document.ak +this machine neither seals nor has a TPM/)
      expect(text).toMatch(/✗ receipt.quote_signature +there is no quote/)
      expect(text).not.toContain('verified under')
    }
  })

  test('sealed ask and sealed log refuse it, no policy can be drawn from it, and nothing is sent', async () => {
    const at = ['--url', url, '--policy', 'dev']
    const before = decodeReceipt((await chat('before')).receipt!).index
    for (const command of [
      ['ask', 'What is a horse?', ...at],
      ['log', 'checkpoint', ...at, '--out', 'kept.txt'],
    ]) {
      const { code, text } = await user.run([...SEALED, ...command])
      expect(code, text).toBe(1)
      expect(text).toContain('this machine neither seals nor has a TPM')
    }
    const drafted = await user.run([
      ...SEALED,
      'policy',
      'init',
      '--url',
      url,
      '--out',
      'drafted.json',
    ])
    expect(drafted.code).toBe(1)
    expect(drafted.text).toContain('no policy can accept it')
    expect(decodeReceipt((await chat('after')).receipt!).index).toBe(before + 1)
  })

  test('the status page and the policy file say it too', async () => {
    const page = await (
      await fetch(`${url}/v1/status`, { headers: { accept: 'text/html' } })
    ).text()
    expect(page).toContain('nothing is sealed or attested on this machine')
    const config = JSON.parse(
      await readFile(join(user.clone, '.sealed/default/sealed.json'), 'utf8'),
    ) as Record<string, unknown>
    expect(config.unsealed).toBe('privileges')
    expect([config.tpm, config.pause, config.tee]).toEqual([undefined, undefined, undefined])
  })

  test('the model listens on the loopback alone', async () => {
    const [model] = (await pids('workloads/reference/main.ts')) as [number]
    const { stdout } = await exec('ss', ['-Hltnp'])
    const listening = stdout.split('\n').filter((line) => line.includes(`pid=${model},`))
    expect(listening).toHaveLength(1)
    const port = Number(/127\.0\.0\.1:(\d+)/.exec(listening[0]!)![1])
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((address) => address && !address.internal && address.family === 'IPv4')
    if (outside) await expect(reached(outside.address, port)).resolves.toBe(false)
    await expect(reached('127.0.0.1', port)).resolves.toBe(true)
  })

  test('a model that dies is replaced', async () => {
    const [model] = (await pids('workloads/reference/main.ts')) as [number]
    process.kill(model, 'SIGKILL')
    await serving()
    expect(await pids('workloads/reference/main.ts')).not.toContain(model)
  })

  test('a killed embassy takes its model with it, and goes on with its log', async () => {
    const { index } = decodeReceipt((await serving()).receipt!)
    const [model] = (await pids('workloads/reference/main.ts')) as [number]
    const [embassy] = (await pids('embassy/src/main.ts')) as [number]
    process.kill(embassy, 'SIGKILL')
    await eventually('the model is gone', async () => {
      const left = await pids('workloads/reference/main.ts')
      return left.includes(model) ? undefined : true
    })
    await delay(200)
    expect(decodeReceipt((await serving()).receipt!).index).toBeGreaterThan(index)
  })

  test('stopped, it says once more that nothing was sealed, and leaves nothing', async () => {
    await stop()
    expect(said.match(PARAGRAPH)).toHaveLength(2)
    expect(said.trimEnd().endsWith('--cgroupns=private.')).toBe(true)
    await eventually('every process has ended', async () =>
      (await user.processes()).length === 0 ? true : undefined,
    )
    const config = JSON.parse(
      await readFile(join(user.clone, '.sealed/default/sealed.json'), 'utf8'),
    ) as { runtime_dir: string }
    await expect(stat(config.runtime_dir)).rejects.toThrow('ENOENT')
  })

  test('started again, it goes on with what it had, in a new log', async () => {
    await start()
    const receipt = decodeReceipt((await serving()).receipt!)
    const origin = receipt.checkpoint.split('\n', 1)[0]!
    const boot = (await (await fetch(`${url}/log/boot`)).json()) as {
      previous?: { origin: string }
    }
    expect(boot.previous?.origin).toMatch(/^sealed\//)
    expect(boot.previous?.origin).not.toBe(origin)
  })
})

/** Holds what the demo kept against its own policy and the built-in one, and every session against what it may say. */
async function unprovable(path: string): Promise<void> {
  const { policy, steps } = JSON.parse(await readFile(path, 'utf8')) as {
    policy: unknown
    steps: Record<string, Record<string, string>>
  }
  const policies = [parsePolicy(JSON.stringify(policy)), STRICT_POLICY]
  expect(Object.keys(steps).length).toBeGreaterThan(8)
  for (const [label, files] of Object.entries(steps)) {
    const receipt = files['receipt.txt']!.trim()
    const document = parseAttestationDocument(utf8(files['document.json']!.trim()))
    for (const each of policies) {
      const { checks, outcome } = await verifyReceipt({ document, receipt }, each)
      expect(outcome, label).toBe('failed')
      const passed = checks.filter(({ result }) => result === 'pass').map(({ id }) => id)
      expect(passed.filter((id) => id.includes('quote') || id.includes('pcr'))).toEqual([])
    }
    const said = typesOf(receipt).filter((type) => /^(seal|tpm)\./.test(type))
    expect(said, label).toEqual(label === 'read' ? ['tpm.absent'] : ['seal.absent', 'tpm.absent'])
  }
}

/** Whether a connection is taken there. */
const reached = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2_000 })
    const end = (is: boolean) => {
      socket.destroy()
      resolve(is)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
    socket.once('timeout', () => end(false))
  })
