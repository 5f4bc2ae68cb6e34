import { readFile, writeFile } from 'node:fs/promises'
import { parsePolicy, STRICT_POLICY } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { serve } from '../test-support/gateway-double.ts'
import { MachineDouble } from '../test-support/machine-double.ts'

let cli: Cli
let machine: MachineDouble
beforeAll(async () => {
  cli = await createCli()
  machine = await MachineDouble.create()
})
afterAll(() => cli.remove())

const init = (argv: string[], given: MachineDouble = machine) =>
  cli.run(['policy', 'init', ...argv], { fetch: serve(given).fetch })

describe('sealed policy init', () => {
  it('writes a policy that the machine fits, and says that nothing was verified', async () => {
    const { err, exit, out } = await init(['--out', 'drawn.json', '--url', 'http://127.0.0.1:8080'])
    expect([exit, out]).toEqual([0, ''])
    expect(err).toContain('Nothing was verified.')
    for (const member of ['ak_roots', 'evidence', 'images', 'workloads', 'metering', 'PCR 7:'])
      expect(err).toContain(member)
    const policy = parsePolicy(await readFile(cli.path('drawn.json'), 'utf8'))
    expect(policy.name).toBe('127.0.0.1:8080')
    expect(policy.workloads).toEqual(machine.policy.workloads)
    const { fetch } = serve(machine)
    const asked = await cli.run(['attestation', '--policy', 'drawn.json'], { fetch })
    expect(asked.exit).toBe(0)
  })

  it('prints to standard output without --out, and nothing else there', async () => {
    const { err, out } = await init(['--name', 'mine'])
    expect(parsePolicy(out).name).toBe('mine')
    expect(err).toContain('Nothing was verified.')
    const json = await init(['--json'])
    expect([json.err, parsePolicy(JSON.stringify(JSON.parse(json.out).policy)).version]).toEqual([
      '',
      1,
    ])
  })

  it('never writes over a file', async () => {
    await writeFile(cli.path('reviewed.json'), 'reviewed')
    const { calls, fetch } = serve(machine)
    const { err, exit } = await cli.run(['policy', 'init', '--out', 'reviewed.json'], { fetch })
    expect([exit, err]).toEqual([2, expect.stringContaining('is there already')])
    expect(calls).toEqual([])
    expect(await readFile(cli.path('reviewed.json'), 'utf8')).toBe('reviewed')
  })

  it('says so when a machine does not fit its own values', async () => {
    const fetch = serve(machine, {
      attestation: (answer) => {
        const document = structuredClone(answer.document) as typeof machine.document
        document.pcrs[0]!.digest = '11'.repeat(32)
        return { ...answer, document }
      },
    }).fetch
    const { err, exit } = await cli.run(['policy', 'init'], { fetch })
    expect([exit, err]).toEqual([1, expect.stringContaining('does not even fit its own values')])
  })

  it('says what to do when there is no gateway', async () => {
    const { err, exit } = await cli.run(['policy', 'init'])
    expect([exit, err]).toEqual([1, expect.stringContaining('npm start')])
  })
})

describe('sealed policy check', () => {
  const check = async (policy: unknown, ...flags: string[]) => {
    await writeFile(
      cli.path('p.json'),
      typeof policy === 'string' ? policy : JSON.stringify(policy),
    )
    return cli.run(['policy', 'check', 'p.json', ...flags])
  }

  it('says in words what a policy asks for and leaves open', async () => {
    const { err, exit, out } = await check(machine.policy)
    expect([exit, err]).toEqual([0, ''])
    expect(out).toContain('not Google’s: who holds its key can make up any machine')
    expect(out).toMatch(/! It asks for no report by the processor/)
    expect(out).toContain('a receipt may be of any age')
  })

  it('names what makes a policy useless', async () => {
    const { out } = await check(STRICT_POLICY)
    expect(out).toContain('Google’s root')
    expect(out).toContain('It accepts no workload, so nothing verifies under it.')
    expect(out).toContain('nothing is more than incomplete under it')
  })

  it('has words for every part there is', async () => {
    const digest = 'ab'.repeat(32)
    const { out } = await check({
      ...machine.policy,
      images: [{ name: 'i', version: '1', pcrs: [{ digests: [digest], index: 4 }], uki: [digest] }],
      instances: { projects: ['p'], zones: ['europe-west4-a'] },
      max_age_ms: 1000,
      tee: {
        snp: { measurements: ['cd'.repeat(48)], min_tcb: { snp: 3 }, roots: [digest] },
        tdx: { mrtd: ['cd'.repeat(48)], rtmrs: [{ digests: ['cd'.repeat(48)], index: 1 }] },
      },
      witnesses: { keys: [{ name: 'w.example', public_key: 'A'.repeat(43) }], quorum: 1 },
    })
    for (const words of [
      'i 1: PCR 4; boots 1 EFI application',
      'project p',
      'zone europe-west4-a',
      'at most 1000 ms old',
      '1 launch measurement; no SMT; patch levels at least snp 3; root abababababababab… not AMD’s',
      '1 firmware measurement; any TDX module of Intel’s; RTMR 1',
      '1 of w.example must have seen the log',
    ])
      expect(out).toContain(words)
  })

  it.each([
    ['no JSON', '{', 'p.json is no policy'],
    ['a member twice', '{"version":1,"version":1}', 'twice'],
    ['an unknown member', { ...STRICT_POLICY, extra: 1 }, 'extra'],
    ['no TPM', { ...STRICT_POLICY, evidence: [] }, 'policy.evidence'],
    ['no root', { ...STRICT_POLICY, ak_roots: [] }, 'policy.ak_roots'],
    [
      'a digest in capitals',
      { ...STRICT_POLICY, workloads: ['AB'.repeat(32)] },
      'policy.workloads',
    ],
  ])('refuses one with %s', async (_, policy, words) => {
    const { err, exit, out } = await check(policy)
    expect([exit, out]).toEqual([1, ''])
    expect(err).toContain(words)
    expect(JSON.parse((await check(policy, '--json')).out).error).toBeDefined()
  })

  it('is wrong use without a file', async () => {
    expect((await cli.run(['policy', 'check', 'nowhere'])).exit).toBe(2)
    expect((await cli.run(['policy', 'check'])).exit).toBe(2)
    expect((await cli.run(['policy'])).exit).toBe(2)
  })
})
