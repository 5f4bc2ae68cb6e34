import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { serve } from '../test-support/gateway-double.ts'
import { MachineDouble } from '../test-support/machine-double.ts'

let cli: Cli
let machine: MachineDouble
let receipt: string
let salt: string
beforeAll(async () => {
  cli = await createCli()
  machine = await MachineDouble.create()
  await writeFile(cli.path('policy.json'), JSON.stringify(machine.policy))
  const { fetch } = serve(machine)
  await cli.run(['ask', 'q', '--policy', 'policy.json', '--save', 'kept'], { fetch })
  receipt = (await readFile(cli.path('kept/receipt.txt'), 'utf8')).trim()
  salt = (await readFile(cli.path('kept/salt.txt'), 'utf8')).trim()
})
afterAll(() => cli.remove())

const POLICY = ['--policy', 'policy.json']
const DOCUMENT = ['--document', 'kept/document.json', ...POLICY]

describe('sealed verify', () => {
  it('verifies a saved folder whole, offline', async () => {
    const { exit, err, out } = await cli.run(['verify', 'kept', ...POLICY])
    expect([exit, err]).toEqual([0, ''])
    for (const id of ['receipt.request', 'receipt.nonce', 'receipt.output'])
      expect(out).toContain(`✓ ${id}`)
    expect(out.trimEnd().split('\n').at(-1)).toMatch(/^verified under policy test/)
  })

  it('takes the receipt as file, as text, or from stdin', async () => {
    for (const given of ['kept/receipt.txt', receipt])
      expect((await cli.run(['verify', given, ...DOCUMENT])).exit).toBe(0)
    for (const given of [['-'], []])
      expect(
        (await cli.run(['verify', ...given, ...DOCUMENT], { stdin: `${receipt}\n` })).exit,
      ).toBe(0)
  })

  it('fetches the document by its digest from the gateway named, and from nowhere else', async () => {
    const { calls, fetch } = serve(machine)
    const argv = ['verify', receipt, '--url', 'http://127.0.0.1:8080', ...POLICY]
    expect((await cli.run(argv, { fetch })).exit).toBe(0)
    expect(calls).toEqual([`GET /v1/attestation/${machine.digest}`])
    const env = { SEALED_URL: 'http://127.0.0.1:8080' }
    const alone = await cli.run(['verify', receipt, ...POLICY], { fetch, env })
    expect(alone.exit).toBe(2)
    expect(alone.err).toContain('--document')
    expect(calls).toHaveLength(1)
  })

  it('fetches a receipt by its id, and says when it is kept nowhere', async () => {
    const id = 'ab'.repeat(16)
    const { calls, fetch } = serve(machine, {
      before: (url) => (url.pathname === `/v1/receipts/${id}` ? new Response(receipt) : undefined),
    })
    const url = ['--url', 'http://127.0.0.1:8080', ...POLICY]
    expect((await cli.run(['verify', id, ...url], { fetch })).exit).toBe(0)
    expect(calls).toEqual([`GET /v1/receipts/${id}`, `GET /v1/attestation/${machine.digest}`])
    const other = await cli.run(['verify', 'cd'.repeat(16), ...url], { fetch })
    expect(other.exit).toBe(1)
    expect(other.err).toContain('[request.not_found]')
    expect((await cli.run(['verify', id, ...POLICY], { fetch })).exit).toBe(2)
  })

  it('says which file is no document', async () => {
    const argv = ['verify', receipt, '--document', 'policy.json', ...POLICY]
    const { err, exit } = await cli.run(argv)
    expect(exit).toBe(1)
    expect(err).toContain('policy.json is no attestation document')
  })

  it('shows skipped checks as skipped', async () => {
    const { out } = await cli.run(['verify', receipt, ...DOCUMENT])
    expect(out).toMatch(/– receipt\.output .*was not given \(skipped\)/)
    expect(out).toMatch(/– document\.challenge/)
  })

  it.each([
    ['response', 'kept/response.body', 'receipt.output'],
    ['request', 'kept/request.json', 'receipt.request'],
  ])('exits with 1 when the %s is not the one of the session', async (flag, file, id) => {
    const text = await readFile(cli.path(file), 'utf8')
    const swapped =
      flag === 'response'
        ? text.replace('Forty', 'Fifty')
        : text.replace('"header":"e', '"header":"f')
    await writeFile(cli.path(`bent-${flag}`), swapped)
    const argv = ['verify', receipt, ...DOCUMENT, '--salt', salt, `--${flag}`, `bent-${flag}`]
    const { exit, out } = await cli.run([...argv, '--json'])
    expect(exit).toBe(1)
    const { verdict } = JSON.parse(out)
    const wrong = verdict.checks.filter((check: { result: string }) => check.result === 'fail')
    expect(wrong.map((check: { id: string }) => check.id)).toContain(id)
  })

  it('exits with 1 under the strict policy, 3 where evidence is missing', async () => {
    const strict = ['verify', receipt, '--document', 'kept/document.json']
    expect((await cli.run(strict)).exit).toBe(1)
    const policy = { ...machine.policy, evidence: ['tpm', 'sev-snp'] }
    await writeFile(cli.path('snp.json'), JSON.stringify(policy))
    const { exit, out } = await cli.run([...strict, '--policy', 'snp.json'])
    expect(exit).toBe(3)
    expect(out).toMatch(/– document\.tee_signature .*\(skipped, required\)/)
  })

  it('exits with 1 for a damaged receipt', async () => {
    const at = receipt.length >> 1
    const other = receipt[at] === 'A' ? 'B' : 'A'
    const bent = receipt.slice(0, at) + other + receipt.slice(at + 1)
    expect((await cli.run(['verify', bent, ...DOCUMENT])).exit).toBe(1)
    expect((await cli.run(['verify', '-', ...DOCUMENT], { stdin: 'no receipt' })).exit).toBe(1)
  })

  it('exits with 2 for a response without its salt, and for a salt that is none', async () => {
    const argv = ['verify', receipt, ...DOCUMENT, '--response', 'kept/response.body']
    expect((await cli.run(argv)).exit).toBe(2)
    expect((await cli.run([...argv, '--salt', 'AAAA'])).exit).toBe(2)
    expect((await cli.run([...argv, '--salt', salt])).exit).toBe(0)
  })

  it('takes a receipt out of the plain answer it is stapled to', async () => {
    await writeFile(cli.path('answer.json'), `{"choices":[],"receipt":"${receipt}"}`)
    const argv = ['verify', 'answer.json', ...DOCUMENT]
    expect((await cli.run(argv)).exit).toBe(0)
    const { exit, out } = await cli.run([...argv, '--salt', salt])
    expect(exit).toBe(1)
    expect(out).toContain('✗ receipt.output')
  })
})
