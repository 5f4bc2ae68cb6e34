import { readFile, writeFile } from 'node:fs/promises'
import { decodeReceipt, utf8 } from '@sealed/protocol'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { serve } from '../test-support/gateway-double.ts'
import { LogDouble } from '../test-support/log-double.ts'
import { MachineDouble } from '../test-support/machine-double.ts'

let cli: Cli
let machine: MachineDouble
let log: LogDouble
beforeAll(async () => {
  cli = await createCli()
  machine = await MachineDouble.create()
  await writeFile(cli.path('policy.json'), JSON.stringify(machine.policy))
})
beforeEach(() => {
  log = new LogDouble(machine)
})
afterAll(() => cli.remove())

const POLICY = ['--policy', 'policy.json']
const run = (...argv: string[]) =>
  cli.run(['log', ...argv], { fetch: serve(machine, { before: log.before }).fetch })

describe('sealed log checkpoint', () => {
  it('prints or keeps the newest checkpoint of an attested machine', async () => {
    const printed = await run('checkpoint', ...POLICY)
    expect([printed.exit, printed.out]).toEqual([0, await log.note()])
    const kept = await run('checkpoint', ...POLICY, '--out', 'kept.note')
    expect([kept.exit, kept.out]).toEqual([0, ''])
    expect(await readFile(cli.path('kept.note'), 'utf8')).toBe(await log.note())
    const json = JSON.parse((await run('checkpoint', ...POLICY, '--json')).out)
    expect(json).toMatchObject({ origin: machine.origin, size: 5, witnesses: [] })
  })

  it('keeps nothing of a machine that is not trusted, or that another key signs for', async () => {
    const strict = await run('checkpoint', '--out', 'never.note')
    expect(strict.exit).toBe(1)
    const other = new LogDouble(await MachineDouble.create())
    log.note = () => other.note()
    const foreign = await run('checkpoint', ...POLICY, '--out', 'never.note')
    expect(foreign.exit).toBe(1)
    await expect(readFile(cli.path('never.note'))).rejects.toThrow()
  })
})

describe('sealed log audit', () => {
  const keep = async (size: number) => {
    await writeFile(cli.path('saved.note'), await log.note(size))
    return ['audit', ...POLICY, '--checkpoint', 'saved.note']
  }

  it('proves that a log only grew, and keeps where it stands now', async () => {
    const argv = await keep(3)
    const { err, exit, out } = await run(...argv, '--out', 'newest.note')
    expect([exit, err]).toEqual([0, ''])
    expect(out).toContain('append-only')
    expect(out).toContain('3 leaves')
    expect(await readFile(cli.path('newest.note'), 'utf8')).toBe(await log.note())
    const json = JSON.parse((await run(...argv, '--json')).out)
    expect(json).toMatchObject({
      append_only: true,
      saved: { size: 3 },
      newest: { size: 5 },
      saved_signature: 'verified',
      logs: [machine.origin],
    })
  })

  it('names the fork, exits with 1, and keeps the old checkpoint', async () => {
    const argv = await keep(3)
    const before = await readFile(cli.path('saved.note'), 'utf8')
    log.leaves = log.leaves.with(1, utf8('another'))
    const { err, exit, out } = await run(...argv, '--out', 'saved.note')
    expect([exit, out]).toEqual([1, ''])
    expect(err).toContain('another log than the one kept at 3 leaves [log.fork]')
    expect(err).toContain('Keep both checkpoints')
    expect(await readFile(cli.path('saved.note'), 'utf8')).toBe(before)
    const json = await run(...argv, '--json')
    expect([json.exit, JSON.parse(json.out).error.code]).toEqual([1, 'log.fork'])
  })

  it('names a log that was cut short', async () => {
    const argv = await keep(5)
    log.leaves = log.leaves.slice(0, 4)
    const { err, exit } = await run(...argv)
    expect(exit).toBe(1)
    expect(err).toContain('cut short: 5 leaves were kept [log.fork]')
  })

  it('names what is missing or altered', async () => {
    const argv = await keep(3)
    const { fetch } = serve(machine, { before: log.before })
    const bent = (path: RegExp, answer: (honest: Response) => Response | Promise<Response>) =>
      cli.run(['log', ...argv], {
        fetch: async (url, init) => {
          const honest = await fetch(url, init)
          return path.test(url) ? answer(honest) : honest
        },
      })
    const gone = await bent(/tile/, () => new Response('{}', { status: 404 }))
    expect(gone.exit).toBe(1)
    expect(gone.err).toMatch(/tile\/0\/000\.p\/5 is not there \[log\.damaged\]/)
    const altered = await bent(/tile/, async (honest) => {
      const bytes = new Uint8Array(await honest.arrayBuffer())
      return new Response(bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte)))
    })
    expect([altered.exit, altered.err]).toEqual([1, expect.stringContaining('[log.damaged]')])
    const long = await bent(/tile/, () => new Response(new Uint8Array(8193)))
    expect(long.exit).toBe(1)
  })

  it('is wrong use without a checkpoint that can be read', async () => {
    expect((await run('audit', ...POLICY)).exit).toBe(2)
    expect((await run('audit', ...POLICY, '--checkpoint', 'none.note')).exit).toBe(2)
    await writeFile(cli.path('odd.note'), 'no note')
    expect((await run('audit', ...POLICY, '--checkpoint', 'odd.note')).exit).toBe(1)
  })
})

describe('sealed log proof', () => {
  it('fetches a proof by the receipt’s id', async () => {
    const id = 'ab'.repeat(16)
    const fetch = serve(machine, {
      before: (url) =>
        url.pathname === `/v1/receipts/${id}/proof` ? new Response('a proof\n') : undefined,
    }).fetch
    expect(await cli.run(['log', 'proof', id], { fetch })).toMatchObject({
      exit: 0,
      out: 'a proof\n',
    })
    expect((await cli.run(['log', 'proof', id, '--out', 'p.tlog-proof'], { fetch })).exit).toBe(0)
    expect(await readFile(cli.path('p.tlog-proof'), 'utf8')).toBe('a proof\n')
    expect((await cli.run(['log', 'proof', 'cd'.repeat(16)], { fetch })).exit).toBe(1)
    expect((await cli.run(['log', 'proof', 'x'], { fetch })).exit).toBe(1)
  })
})

describe('sealed verify --proof', () => {
  it('hands the proof to the verifier, from a file or the folder', async () => {
    const { fetch } = serve(machine)
    await cli.run(['ask', 'q', ...POLICY, '--save', 'kept'], { fetch })
    const receipt = (await readFile(cli.path('kept/receipt.txt'), 'utf8')).trim()
    expect(decodeReceipt(receipt).index).toBe(1)
    const argv = ['verify', 'kept', ...POLICY]
    expect((await cli.run(argv)).out).toMatch(/– receipt\.fork .*no tlog-proof was given/)
    await writeFile(cli.path('odd.tlog-proof'), 'no proof')
    const odd = await cli.run([...argv, '--proof', 'odd.tlog-proof'])
    expect(odd.exit).toBe(1)
    expect(odd.out).toMatch(/✗ receipt\.fork .*tlog-proof/)
    await writeFile(cli.path('kept/receipt.tlog-proof'), 'no proof')
    expect((await cli.run(argv)).exit).toBe(1)
    expect((await cli.run([...argv, '--proof', 'none'])).exit).toBe(2)
  })

  it('takes the time of sending in one spelling', async () => {
    const argv = ['verify', 'kept', ...POLICY, '--sent']
    for (const time of ['yesterday', '2026-10-01', '2026-13-01T12:00:00Z', ''])
      expect((await cli.run([...argv, time])).exit, time).toBe(2)
  })
})
