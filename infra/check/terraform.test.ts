// Terraform's (or OpenTofu's) own word, where the program and the providers are to be had. Where they are not, the other
// tests here say less than it does: types of values that are computed, and what providers check among arguments.
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'vitest'
import { INFRA } from './module.ts'

const run = promisify(execFile)
const INIT_MS = 240_000

async function program(): Promise<string | undefined> {
  for (const name of ['terraform', 'tofu'])
    if (
      await run(name, ['version']).then(
        () => true,
        () => false,
      )
    )
      return name
  return undefined
}

test(
  'terraform validates the example, and finds nothing to format',
  async ({ skip }) => {
    const terraform = await program()
    if (terraform === undefined) return skip('neither terraform nor tofu is on the path')
    const copy = await mkdtemp(join(tmpdir(), 'sealed-terraform-'))
    try {
      for (const part of ['modules', 'examples'])
        await cp(join(INFRA, part), join(copy, part), { recursive: true })
      const options = { cwd: join(copy, 'examples', 'one-region'), timeout: INIT_MS }
      await run(terraform, ['fmt', '-check', '-recursive', copy])
      const ready = run(terraform, ['init', '-backend=false', '-input=false'], options)
      if (
        await ready.then(
          () => false,
          () => true,
        )
      )
        return skip('the providers were not to be had')
      await run(terraform, ['validate'], options)
    } finally {
      await rm(copy, { recursive: true, force: true })
    }
  },
  2 * INIT_MS,
)
