// How a step runs the unpacked packages' programs, and reads what it was given.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import process from 'node:process'

/** What the derivation sets. */
export function given(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`the derivation sets no ${name}`)
  return value
}

export const givenJson = <T>(name: string): T => JSON.parse(readFileSync(given(name), 'utf8')) as T

export const LIBRARIES = 'usr/lib/x86_64-linux-gnu'

/** Runs a program of the tools, given by its path in them, with their loader and libraries; answers what it printed. */
export function tool(
  path: string,
  args: readonly string[],
  { name = basename(path), input = '' } = {},
): string {
  const tools = given('tools')
  const loader = join(tools, 'usr/lib64/ld-linux-x86-64.so.2')
  const libraries = [LIBRARIES, `${LIBRARIES}/systemd`].map((part) => join(tools, part)).join(':')
  const command = ['--library-path', libraries, '--argv0', name, join(tools, path), ...args]
  return execFileSync(loader, command, {
    encoding: 'utf8',
    env: {
      ...process.env,
      GCONV_PATH: join(tools, LIBRARIES, 'gconv'),
      LC_ALL: 'C',
      SOURCE_DATE_EPOCH: '1',
      TZ: 'UTC',
    },
    input,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}
