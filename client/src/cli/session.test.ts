import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { fromUtf8, utf8 } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAuthority } from '../authority.ts'
import { writeAuthorityFile } from '../authority-file.ts'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { type Bends, errorResponse, serve } from '../test-support/gateway-double.ts'
import { MachineDouble, workloadOf } from '../test-support/machine-double.ts'
import { aborted, completion, readingOf } from '../test-support/session-double.ts'

let cli: Cli
let machine: MachineDouble
let id: string
beforeAll(async () => {
  cli = await createCli()
  const { entry, jwk } = await createAuthority()
  id = entry.id
  await writeAuthorityFile(cli.path('authority.jwk'), jwk)
  machine = await MachineDouble.create({ authorities: [entry] })
  await mkdir(cli.path('.sealed/default'), { recursive: true })
  await writeFile(cli.path('.sealed/default/policy.json'), JSON.stringify(machine.policy))
})
afterAll(() => cli.remove())

const AUTHORITY = ['--authority', 'authority.jwk', '--policy', 'dev']
const call = async (argv: string[], bends: Bends = {}, settings = {}) => {
  const gateway = serve(machine, bends)
  const result = await cli.run(argv, { fetch: gateway.fetch, ...settings })
  return { ...result, ...gateway }
}

describe('sealed ask', () => {
  it('prints the answer alone on stdout and the protocol as it unfolds beside it', async () => {
    const { err, exit, out } = await call(['ask', 'question', '--policy', 'dev'])
    expect(exit).toBe(0)
    expect(out).toBe('Forty-two.\n')
    const labels = err.split('\n').flatMap((line) => /^[a-z]+( key)?/.exec(line)?.[0] ?? [])
    expect(labels).toEqual([
      ...['attested', 'prepared', 'received', 'sealed', 'input key', 'refused', 'activations'],
      ...['registry', 'seal', 'committed', 'released', 'receipt', 'verdict'],
    ])
    expect(err).toMatch(/refused +to reach 192\.0\.2\.1:80: ECONNRESET, says the workload/)
    expect(err).toMatch(/sealed +at 2026-10-01T12:00:00\.001Z, policy request; probes: 14 refused/)
    expect(err).toContain('after 183.2 ms under seal')
    expect(err).toMatch(/✓ receipt\.output .*bytes/)
    expect(err).toMatch(/– receipt\.fork .*\(skipped\)/)
    expect(err).not.toMatch(/document\.ak_chain/)
    expect(err).not.toContain('\u001b')
  })

  it('does not call refused what the workload says it reached', async () => {
    const output = () => completion('Done.', { 'reach_192.0.2.1:80': 'reached' })
    const { err } = await call(['ask', 'question', '--policy', 'dev'], { output })
    expect(err).toMatch(/^reached +192\.0\.2\.1:80, says the workload$/m)
    expect(err).not.toMatch(/^refused/m)
  })

  it('shows every check under --verbose', async () => {
    const { err } = await call(['ask', 'question', '--policy', 'dev', '--verbose'])
    expect(err.match(/✓ document\.ak_chain/g)).toHaveLength(2)
  })

  it('prints one JSON object and nothing else under --json', async () => {
    const { err, exit, out, sessions } = await call(['ask', 'q', '--policy', 'dev', '--json'])
    expect([exit, err]).toEqual([0, ''])
    expect(out.indexOf('\n')).toBe(out.length - 1)
    const json = JSON.parse(out)
    expect(Object.keys(json)).toEqual([
      ...['status', 'content_type', 'verdict', 'receipt', 'receipt_id', 'salt', 'output'],
    ])
    expect(json.verdict.outcome).toBe('verified')
    expect(json.receipt_id).toBe(sessions[0]!.id)
    expect(json.output.choices[0].message.content).toBe('Forty-two.')
  })

  it('takes prompt, model and length from arguments, or the prompt from stdin', async () => {
    const flags = ['--model', 'm', '--max-tokens', '5', '--policy', 'dev']
    const { sessions } = await call(['ask', '-', ...flags], {}, { stdin: 'piped\n' })
    expect(JSON.parse(fromUtf8(sessions[0]!.input))).toEqual({
      model: 'm',
      messages: [{ role: 'user', content: 'piped\n' }],
      max_tokens: 5,
    })
    expect(sessions[0]!.header.endpoint).toBe('/v1/chat/completions')
  })

  it('colours for a terminal, not where NO_COLOR asks for none, and lets no answer draw on it', async () => {
    const terminal = await call(['ask', 'q', '--policy', 'dev'], {}, { terminal: true })
    expect(terminal.err).toContain('\u001b[32m')
    const env = { NO_COLOR: '1' }
    const plain = await call(['ask', 'q', '--policy', 'dev'], {}, { terminal: true, env })
    expect(plain.err).not.toContain('\u001b')
    const drawing = 'a\u001b[2Jb\u202e\nc'
    const output = () => completion(drawing, { [`reach_${drawing}`]: drawing })
    const hostile = await call(['ask', 'q', '--policy', 'dev'], { output }, { terminal: true, env })
    expect(hostile.exit).toBe(0)
    expect(hostile.out).toBe('a\ufffd[2Jb\ufffd\nc\n')
    for (const control of ['\u001b', '\u202e']) expect(hostile.err).not.toContain(control)
    const piped = await call(['ask', 'q', '--policy', 'dev'], { output })
    expect(piped.out).toBe(`${drawing}\n`)
  })

  it('keeps what is needed to verify later, for its owner alone, without a key', async () => {
    const { exit, requests } = await call(['ask', 'q', '--policy', 'dev', '--save', 'kept'])
    expect(exit).toBe(0)
    const names = (await readdir(cli.path('kept'))).sort()
    expect(names).toEqual([
      ...['document.json', 'receipt.txt', 'request.json', 'response.body', 'salt.txt'],
    ])
    for (const name of names)
      expect((await stat(cli.path(`kept/${name}`))).mode & 0o777).toBe(0o600)
    expect(new Uint8Array(await readFile(cli.path('kept/request.json')))).toEqual(requests[0]!.body)
    const again = await call(['ask', 'q', '--policy', 'dev', '--save', 'kept'])
    expect([again.exit, again.calls]).toEqual([2, []])
    expect(again.err).toContain('not empty')
  })

  it('reads the API key from the environment and prints it nowhere', async () => {
    const env = { SEALED_API_KEY: 'sk-sealed-very-secret' }
    const { err, out, requests } = await call(['ask', 'q', '--policy', 'dev'], {}, { env })
    expect(requests[0]!.headers.get('authorization')).toBe('Bearer sk-sealed-very-secret')
    expect(out + err).not.toContain('very-secret')
    const far = { ...env, SEALED_URL: 'http://example.invalid' }
    const refused = await call(['ask', 'q', '--policy', 'dev', '--json'], {}, { env: far })
    expect([refused.exit, refused.calls]).toEqual([2, []])
    expect(refused.out).not.toContain('very-secret')
  })
})

describe('sealed ask, when it goes wrong', () => {
  it('sends nothing under a policy that the machine fails, and exits with 1', async () => {
    const { calls, err, exit, out } = await call(['ask', 'question'])
    expect([exit, out]).toEqual([1, ''])
    expect(err).toMatch(/nothing was sent \[verdict\.failed\]/)
    expect(err).toContain('--policy dev')
    expect(calls).toEqual(['GET /v1/attestation'])
  })

  it('exits with 3 where evidence that the policy wants is not there', async () => {
    const policy = { ...machine.policy, evidence: ['tpm', 'tdx'] }
    await writeFile(cli.path('tdx.json'), JSON.stringify(policy))
    const { exit, out } = await call(['ask', 'q', '--policy', 'tdx.json', '--json'])
    expect(exit).toBe(3)
    expect(JSON.parse(out)).toMatchObject({
      error: { code: 'verdict.failed', param: null },
      verdict: { outcome: 'incomplete' },
    })
  })

  it('shows no answer whose receipt does not verify', async () => {
    const reply: Bends['reply'] = (_session, honest) => ({ ...honest, output: utf8('forged') })
    const { err, exit, out } = await call(['ask', 'q', '--policy', 'dev'], { reply })
    expect([exit, out]).toEqual([1, ''])
    expect(err).toMatch(/✗ receipt\.output/)
  })

  it('tells how a session was aborted, keeps its receipt, and exits with 1', async () => {
    const reply: Bends['reply'] = (session) => aborted(machine)(session)
    const argv = ['ask', 'q', '--policy', 'dev', '--save', 'aborted']
    const { err, exit, out, sessions } = await call(argv, { reply })
    expect([exit, out]).toEqual([1, ''])
    expect(err).toContain('when revealed: deadline')
    expect(err).toContain('[workload.timeout]')
    expect(err).toContain(`receipt ${sessions[0]!.id}`)
    expect(await readdir(cli.path('aborted'))).not.toContain('response.body')
    const later = await call(['verify', 'aborted', '--policy', 'dev'])
    expect(later.exit).toBe(0)
    expect(later.out).toContain('aborted: envelope door to demo')
  })

  it('exits with 1 when the workload answered with an error, verified or not', async () => {
    const reply: Bends['reply'] = (_session, { statements, ...honest }) => ({
      output: honest.output,
      head: { status: 500, content_type: 'application/json' },
      statements: statements.map((one) =>
        one.type === 'output.committed' ? { ...one, status: 500 } : one,
      ),
    })
    const { err, exit } = await call(['ask', 'q', '--policy', 'dev'], { reply })
    expect(exit).toBe(1)
    expect(err).toContain('the workload answered 500')
  })

  it.each([
    ['ask', 'q', '--policy', 'nowhere.json'],
    ['ask', 'q', '--url', 'localhost'],
    ['ask', 'q', '--max-tokens', '0'],
    ['ask', 'q', '--nonsense'],
    ['ask', 'q', 'r'],
    ['ask'],
    ['ask', '-'],
    ['write', 'design', 'q'],
    ['write', 'Bad Name', 'q', ...AUTHORITY],
    ['authority', 'new', 'me'],
    ['nonsense'],
    ['verify', 'nowhere'],
  ])('exits with 2 for: %s %s %s', async (...argv) => {
    const given = argv.filter((part) => part !== undefined)
    const human = await call(given)
    expect([human.exit, human.out, human.calls]).toEqual([2, '', []])
    expect(human.err).not.toBe('')
    const { err, exit, out } = await call([...given, '--json'])
    expect([exit, err]).toEqual([2, ''])
    expect(Object.keys(JSON.parse(out).error)).toEqual(['code', 'message', 'param'])
    expect(JSON.parse(out).error.code).toBe('request.invalid')
  })

  it('says what to do next when nothing answers, or the server refuses', async () => {
    const dead = await cli.run(['ask', 'q', '--policy', 'dev'])
    expect(dead.exit).toBe(1)
    expect(dead.err).toMatch(/nothing answers at http:\/\/127\.0\.0\.1:8080.*\nStart a gateway/)
    const before: Bends['before'] = (_url, { method }) =>
      method === 'POST' ? errorResponse(401, 'request.unauthorized', 'who are you') : undefined
    const refused = await call(['ask', 'q', '--policy', 'dev'], { before })
    expect(refused.exit).toBe(1)
    expect(refused.err).toMatch(/who are you \[request\.unauthorized\]\n.*SEALED_API_KEY/)
  })

  it('lists the workloads when it cannot choose one', async () => {
    const two = await MachineDouble.create({
      workloads: [workloadOf('one', 1), workloadOf('two', 3)],
    })
    await writeFile(cli.path('two.json'), JSON.stringify(two.policy))
    const { fetch } = serve(two)
    const { err, exit } = await cli.run(['ask', 'q', '--policy', 'two.json'], { fetch })
    expect(exit).toBe(1)
    expect(err).toContain('name one of one, two')
  })
})

describe('sealed write, update, read', () => {
  it('write signs with the authority’s key', async () => {
    const argv = ['write', 'design', 'sample', '--negative', ...AUTHORITY]
    const { err, exit, sessions } = await call(argv)
    expect(exit).toBe(0)
    expect(sessions[0]!.instructions.action).toMatchObject({ type: 'write', polarity: 'negative' })
    expect(err).toMatch(/registry +write done with cosine-max/)
  })

  it('update asks for it', async () => {
    const { err, exit } = await call(['update', 'sample', '--policy', 'dev'])
    expect(exit).toBe(0)
    expect(err).toMatch(/registry +update done with cosine-max/)
  })

  it('read prints meters with their coverage', async () => {
    const { exit, out } = await call(['read', ...AUTHORITY])
    expect(exit).toBe(0)
    expect(out).toMatch(new RegExp(`1\\.000000 {2}${id}/design`))
    expect(out).toMatch(/coverage +5 sessions, 0 unmetered/)
    const json = await call(['read', ...AUTHORITY, '--json'])
    expect(JSON.parse(json.out).reading).toEqual(readingOf(id))
  })

  it('say where an authority’s key is missing', async () => {
    const { calls, err, exit } = await call(['read', '--authority', 'none.jwk', '--policy', 'dev'])
    expect([exit, calls]).toEqual([1, []])
    expect(err).toContain('sealed authority new NAME --out')
  })
})
