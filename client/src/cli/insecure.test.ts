// The command that asks machines which do not verify: it tells their verdict and ends with 1, and no option of `sealed`
// leads to it.
//
// Mutants that turn this red: an exit code of its own for an answer that came; an option that sets `insecure`; `sealed` that
// attests and asks as this command does (either alone is not enough: `attest` throws, and so does `ask`).
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAuthority } from '../authority.ts'
import { writeAuthorityFile } from '../authority-file.ts'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { serve } from '../test-support/gateway-double.ts'
import { MachineDouble } from '../test-support/machine-double.ts'

let cli: Cli
let machine: MachineDouble
beforeAll(async () => {
  cli = await createCli()
  const { entry, jwk } = await createAuthority()
  await writeAuthorityFile(cli.path('authority.jwk'), jwk)
  machine = await MachineDouble.create({ authorities: [entry] })
  await mkdir(cli.path('.sealed/default'), { recursive: true })
  await writeFile(cli.path('.sealed/default/policy.json'), JSON.stringify(machine.policy))
})
afterAll(() => cli.remove())

const AUTHORITY = ['--authority', 'authority.jwk']
const COMMANDS = [
  ['ask', 'question'],
  ['update', 'question'],
  ['write', 'chemistry', 'question', ...AUTHORITY],
  ['read', ...AUTHORITY],
]
const call = async (argv: string[], insecure: boolean) => {
  const gateway = serve(machine)
  const result = await cli.run(argv, { fetch: gateway.fetch, insecure })
  return { ...result, sent: gateway.requests.length }
}

test.each(COMMANDS)(
  '%s of a machine that does not verify is answered, and ends with 1',
  async (...argv) => {
    const { err, exit, out, sent } = await call(argv, true)
    expect(exit).toBe(1)
    expect(out).not.toBe('')
    expect(sent).toBe(1)
    expect(err).toMatch(/verdict +failed under policy strict/)
    expect(err).toMatch(/✗ document\.ak_chain/)
  },
)

test.each(COMMANDS)('%s of one that verifies ends as with sealed', async (...argv) => {
  expect((await call([...argv, '--policy', 'dev'], true)).exit).toBe(0)
})

test.each(COMMANDS)('%s of sealed sends nothing there', async (...argv) => {
  const { exit, sent } = await call(argv, false)
  expect({ exit, sent }).toEqual({ exit: 1, sent: 0 })
})

test.each(['--insecure', '--unverified', '--no-verify', '--force'])(
  'sealed has no %s',
  async (flag) => {
    const { exit, sent } = await call(['ask', 'question', flag], false)
    expect({ exit, sent }).toEqual({ exit: 2, sent: 0 })
  },
)

test('no package has it as a command', async () => {
  const path = new URL('../../package.json', import.meta.url)
  const { bin } = JSON.parse(await readFile(path, 'utf8')) as { bin: Record<string, string> }
  expect(bin).toEqual({ sealed: './bin/sealed.ts' })
})
