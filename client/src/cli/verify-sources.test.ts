// Where people have receipts, and the mistakes they make: each ends in a verdict, or in a sentence that says what to do.
import { readFile, writeFile } from 'node:fs/promises'
import { decodeReceipt, fromUtf8, spliceReceipt, utf8 } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cli, type CliSettings, createCli } from '../test-support/cli-double.ts'
import { serve } from '../test-support/gateway-double.ts'
import { MachineDouble } from '../test-support/machine-double.ts'
import { aborted } from '../test-support/session-double.ts'

let cli: Cli
let machine: MachineDouble
let receipt: string
let salt: string
let output: string
beforeAll(async () => {
  cli = await createCli()
  machine = await MachineDouble.create()
  await writeFile(cli.path('policy.json'), JSON.stringify(machine.policy))
  const { fetch } = serve(machine)
  const asked = await cli.run(['ask', 'q', ...POLICY, '--save', 'kept', '--json'], { fetch })
  await writeFile(cli.path('asked.json'), asked.out)
  const text = async (name: string) => (await readFile(cli.path(name), 'utf8')).trim()
  receipt = await text('kept/receipt.txt')
  salt = await text('kept/salt.txt')
  output = await readFile(cli.path('kept/response.body'), 'utf8')
})
afterAll(() => cli.remove())

const POLICY = ['--policy', 'policy.json']
const DOCUMENT = ['--document', 'kept/document.json', ...POLICY]
const stapled = () => fromUtf8(spliceReceipt(utf8(output), receipt)!)

async function verify(content: string | Uint8Array, more: string[] = [], settings?: CliSettings) {
  await writeFile(cli.path('given'), content)
  return cli.run(['verify', 'given', ...DOCUMENT, ...more], settings)
}

describe('a receipt', () => {
  it('is found in the answer it is stapled to, whose output is then compared', async () => {
    const { exit, out } = await verify(stapled(), ['--salt', salt])
    expect([exit, out]).toEqual([0, expect.stringContaining('✓ receipt.output')])
    const bent = await verify(stapled().replace('Forty', 'Fifty'), ['--salt', salt])
    expect([bent.exit, bent.out]).toEqual([1, expect.stringContaining('✗ receipt.output')])
  })

  it('is found in what `curl -i` saved, with the salt of its headers', async () => {
    const interim = 'HTTP/1.1 100 Continue\r\n\r\n'
    const head = `HTTP/1.1 200 OK\r\nSealed-Salt: ${salt}\r\nSealed-Receipt-Id: ${'ab'.repeat(16)}\r\n\r\n`
    for (const content of [head + stapled(), interim + head + stapled()]) {
      const { exit, out } = await verify(content)
      expect([exit, out]).toEqual([0, expect.stringContaining('✓ receipt.output')])
    }
  })

  it('is found in a saved event stream, whose own events are then compared', async () => {
    const [first, last] = ['data: {"n":1}\n\n', 'data: [DONE]\n\n']
    const { fetch } = serve(machine, { output: () => utf8(first + last) })
    await cli.run(['ask', 'q', ...POLICY, '--save', 'streamed'], { fetch })
    const kept = async (name: string) =>
      (await readFile(cli.path(`streamed/${name}.txt`), 'utf8')).trim()
    const event = `data: {"choices":[],"receipt":"${await kept('receipt')}"}\n\n`
    const stream = `: sealed\n\n${first}: sealed\n\n${event}${last}`
    const own = ['--salt', await kept('salt')]
    const whole = await verify(stream, own)
    expect([whole.exit, whole.out]).toEqual([0, expect.stringContaining('✓ receipt.output')])
    const bent = await verify(stream.replace('"n":1', '"n":2'), own)
    expect([bent.exit, bent.out]).toEqual([1, expect.stringContaining('✗ receipt.output')])
    const without = await verify('data: {"n":1}\n\ndata: [DONE]\n\n')
    expect([without.exit, without.err]).toEqual([2, expect.stringContaining('before [DONE]')])
  })

  it('is found in JSON that a formatter wrote anew, whose bytes are then not compared', async () => {
    const pretty = JSON.stringify(JSON.parse(stapled()), null, 2)
    const { exit, out } = await verify(pretty, ['--salt', salt])
    expect([exit, out]).toEqual([0, expect.stringContaining('– receipt.output')])
  })

  it('is found in what `ask --json` printed', async () => {
    expect((await verify(await readFile(cli.path('asked.json')))).exit).toBe(0)
  })

  it('may be given decoded, as a header line, or among white space', async () => {
    for (const content of [
      JSON.stringify(decodeReceipt(receipt), null, 2),
      `Sealed-Receipt: ${receipt}`,
      `\n  ${receipt}\r\n`,
    ])
      expect((await verify(content)).exit).toBe(0)
    expect((await cli.run(['verify', `sealed-receipt: ${receipt}`, ...DOCUMENT])).exit).toBe(0)
  })

  it('is fetched where an answer carries only its id', async () => {
    const id = 'ab'.repeat(16)
    const { fetch } = serve(machine, {
      before: (url) => (url.pathname === `/v1/receipts/${id}` ? new Response(receipt) : undefined),
    })
    const url = ['--url', 'http://127.0.0.1:8080']
    for (const content of [
      `HTTP/1.1 200 OK\r\nsealed-receipt-id: ${id}\r\n\r\n{"choices":[]}`,
      `sealed-receipt-id: ${id}`,
    ]) {
      expect((await verify(content, url, { fetch })).exit).toBe(0)
      const alone = await verify(content)
      expect([alone.exit, alone.err]).toEqual([2, expect.stringContaining('give --url')])
    }
  })

  it('of an aborted session is not held against the error it came with', async () => {
    const failing = await createCli()
    const { fetch } = serve(machine, { reply: aborted(machine) })
    await writeFile(failing.path('policy.json'), JSON.stringify(machine.policy))
    await failing.run(['ask', 'q', ...POLICY, '--save', 'kept'], { fetch })
    const failed = (await readFile(failing.path('kept/receipt.txt'), 'utf8')).trim()
    await failing.remove()
    const error = `{"error":{"message":"no"},"receipt":"${failed}"}`
    const { exit, out } = await verify(error, ['--salt', salt])
    expect([exit, out]).toEqual([0, expect.stringContaining('aborted')])
  })
})

describe('a document', () => {
  it('may be the gateway’s whole answer, or have gone through a formatter', async () => {
    const document = JSON.parse(await readFile(cli.path('kept/document.json'), 'utf8'))
    for (const content of [
      JSON.stringify(document, null, 2),
      `${JSON.stringify(document)}\n`,
      JSON.stringify({ document }),
    ]) {
      await writeFile(cli.path('other.json'), content)
      const argv = ['verify', receipt, '--document', 'other.json', ...POLICY]
      expect((await cli.run(argv)).exit).toBe(0)
    }
  })

  it('with a member twice is none', async () => {
    const text = await readFile(cli.path('kept/document.json'), 'utf8')
    await writeFile(cli.path('twice.json'), text.replace('{', '{"version":1,'))
    const argv = ['verify', receipt, '--document', 'twice.json', ...POLICY]
    const { err, exit } = await cli.run(argv)
    expect([exit, err]).toEqual([1, expect.stringContaining('twice')])
  })

  it('that is something else is told so', async () => {
    const argv = ['verify', receipt, '--document', 'policy.json', ...POLICY]
    const { err, exit } = await cli.run(argv)
    expect([exit, err]).toEqual([
      1,
      expect.stringContaining('it is a policy: give it with --policy'),
    ])
    expect(err).toContain('/v1/attestation')
    expect(err).not.toContain('--url')
  })

  it('of another machine is named as such, with where the right one is', async () => {
    const other = await MachineDouble.create()
    await writeFile(cli.path('other.json'), JSON.stringify(other.document))
    const argv = ['verify', receipt, '--document', 'other.json', ...POLICY]
    const { err, exit, out } = await cli.run(argv)
    expect([exit, out]).toEqual([1, expect.stringContaining('✗ receipt.document')])
    expect(err).toContain(`/v1/attestation/${machine.digest}`)
  })
})

describe('a mistake', () => {
  it.each([
    ['nothing', '', 'is empty'],
    ['a document', () => readFile(cli.path('kept/document.json')), '--document'],
    ['an envelope', () => readFile(cli.path('kept/request.json')), '--request'],
    ['a policy', () => readFile(cli.path('policy.json')), '--policy'],
    ['an answer without a receipt', '{"choices":[]}', 'without a member "receipt"'],
    ['half an answer', '{"choices":[', 'was it cut?'],
    ['bytes', new Uint8Array([0xff, 0xfe, 0x41]), 'is binary'],
  ])('such as %s for a receipt is answered with what it is', async (_, content, words) => {
    const given = typeof content === 'function' ? await content() : content
    const { err, exit } = await verify(given)
    expect([exit, err]).toEqual([2, expect.stringContaining(words)])
  })

  it.each([
    [['verify'], 'pipe it in'],
    [['verify', 'kept/nowhere.txt'], 'no file kept/nowhere.txt'],
    [['verify', 'AB'.repeat(16)], 'lower-case hex'],
    [['verify', 'ab'.repeat(16)], 'give --url'],
    [['verify', 'kept', '--format', 'xml'], 'Allowed choices are text, json, ear'],
    [['verify', 'kept', '--json', '--format', 'ear'], 'contradict'],
    [['verify', 'kept', '--document', 'nowhere'], 'cannot read the document'],
    [['verify', 'kept', '--response', 'nowhere'], 'cannot read the response'],
    [['verify', 'kept', '--policy', 'nowhere'], 'there is no file'],
    [['verify', 'kept', '--policy', 'policy.json', '--proof', 'nowhere'], 'cannot read the proof'],
  ])('such as sealed %j ends with 2 and says so', async (argv, words) => {
    const { err, exit, out } = await cli.run(argv)
    expect([exit, err + out]).toEqual([2, expect.stringContaining(words)])
  })

  it('such as the strict policy for a development machine is answered with the way out', async () => {
    const { err, exit } = await cli.run(['verify', 'kept'])
    expect([exit, err]).toEqual([1, expect.stringContaining('--policy dev')])
  })

  it('is no reason for the claims of a bad receipt to look proven', async () => {
    const { out } = await cli.run(['verify', 'kept'])
    expect(out).toMatch(/^the receipt claims, unproven: session/)
  })
})

describe('--format', () => {
  it('json is what --json prints', async () => {
    const short = await cli.run(['verify', 'kept', ...POLICY, '--json'])
    const long = await cli.run(['verify', 'kept', ...POLICY, '--format', 'json'])
    expect(long).toEqual(short)
    expect(JSON.parse(long.out).verdict.outcome).toBe('verified')
  })

  it('ear prints attestation results and nothing else, with the same exit code', async () => {
    const { err, exit, out } = await cli.run(['verify', 'kept', ...POLICY, '--format=ear'])
    expect([exit, err]).toEqual([0, ''])
    const ear = JSON.parse(out)
    expect(ear.eat_profile).toBe('tag:ietf.org,2026:rats/ear#04')
    expect(Object.keys(ear.submods)).toEqual(['tpm', 'workload', 'receipt'])
    expect((await cli.run(['verify', 'kept', '--format', 'ear'])).exit).toBe(1)
  })

  it('is kept to by errors', async () => {
    for (const argv of [['--format', 'ear'], ['--format=json'], ['--json']]) {
      const { err, exit, out } = await cli.run(['verify', 'nowhere', ...argv])
      expect([exit, err]).toEqual([2, ''])
      expect(JSON.parse(out).error.param).toBe('receipt')
    }
  })
})
