import { writeFile } from 'node:fs/promises'
import { canonicalize } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { serve } from '../test-support/gateway-double.ts'
import { MachineDouble } from '../test-support/machine-double.ts'

let cli: Cli
let machine: MachineDouble
beforeAll(async () => {
  cli = await createCli()
  machine = await MachineDouble.create()
  await writeFile(cli.path('policy.json'), canonicalize(machine.policy))
})
afterAll(() => cli.remove())

const argv = ['proxy', '--port', '0', '--policy', 'policy.json']
const post = (written: string) =>
  fetch(`${/http:\S+\/v1(?= is sealed)/.exec(written)![0]}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'a secret' }] }),
  }).then((response) => response.text())

describe('sealed proxy', () => {
  it('serves until it is interrupted, with a line for each request and no contents in it', async () => {
    const { fetch, requests, sessions } = serve(machine)
    let said = ''
    const { err, exit, out } = await cli.run(argv, {
      fetch,
      env: { SEALED_API_KEY: 'sk-of-the-environment' },
      interrupted: async (written) => {
        said = await post(written())
      },
    })
    expect(exit).toBe(0)
    expect(said).toContain('Forty-two.')
    expect(err).toMatch(
      new RegExp(
        `^12:00:00 [0-9a-f]{16} POST /v1/chat/completions 200 verified receipt ${sessions[0]!.id} \\d+ ms\n$`,
      ),
    )
    expect(out + err).not.toMatch(/secret|Forty/)
    expect(requests[0]!.headers.has('authorization')).toBe(false)
    await expect(post(out)).rejects.toThrow()
  })

  it('names the checks that failed', async () => {
    const { fetch, sessions } = serve(machine)
    const { err, exit } = await cli.run(['proxy', '--port', '0', '--policy', 'strict'], {
      fetch,
      interrupted: async (written) => void (await post(written())),
    })
    expect(exit).toBe(0)
    expect(err).toMatch(/ 424 failed \[verdict\.failed\] failed document\.ak_chain/)
    expect(sessions).toEqual([])
  })

  it('is wrong use where its port is taken or none, and offers no other host', async () => {
    let taken: Awaited<ReturnType<Cli['run']>> | undefined
    await cli.run(argv, {
      interrupted: async (written) => {
        const port = /127\.0\.0\.1:(\d+)/.exec(written())![1]!
        taken = await cli.run(['proxy', '--port', port, '--policy', 'policy.json'])
      },
    })
    expect(taken?.exit).toBe(2)
    expect(taken?.err).toContain('EADDRINUSE')
    expect((await cli.run(['proxy', '--port', '65536'])).exit).toBe(2)
    expect((await cli.run([...argv, '--host', '0.0.0.0'])).exit).toBe(2)
  })
})
