// protocol and client as strangers get them: built, packed, and installed by npm into an empty folder without network.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

export const ROOT = resolve(import.meta.dirname, '..', '..')
export const run = promisify(execFile)
/** npm must not run on a Node out of node_modules that it may replace, nor look for news. */
const env = { ...process.env, npm_config_update_notifier: 'false' }

/** The folder, with both packages and what they depend on in its node_modules. */
export async function installPacked(): Promise<string> {
  await run(process.execPath, [join(ROOT, 'scripts', 'build.ts')])
  const folder = await mkdtemp(join(tmpdir(), 'sealed-packed-'))
  const rooms = ['protocol', 'client'].map((room) => join(ROOT, 'dist', room))
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', ...rooms], {
    cwd: folder,
    env,
  })
  const packed = namesOf(JSON.parse(stdout))
  const copied = new Set<string>()
  for (const room of rooms) await copyDependencies(room, join(folder, 'node_modules'), copied)
  await writeFile(join(folder, 'package.json'), '{"name":"stranger","type":"module"}')
  const options = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock']
  const tarballs = packed.map((name) => join(folder, name))
  await run('npm', ['install', ...options, ...tarballs], { cwd: folder, env })
  return folder
}

/** npm 11 lists what it packed, npm 12 keys it by name. */
function namesOf(listed: unknown): string[] {
  const all = Object.values(listed as Record<string, { filename: string }>)
  return all.map(({ filename }) => filename)
}

/** What a package asks for, from this repository's node_modules, with what that asks for. */
async function copyDependencies(from: string, to: string, copied: Set<string>): Promise<void> {
  const { dependencies = {} } = JSON.parse(await readFile(join(from, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies)) {
    if (name.startsWith('@sealed/') || copied.has(name)) continue
    copied.add(name)
    const source = join(ROOT, 'node_modules', name)
    await mkdir(dirname(join(to, name)), { recursive: true })
    await cp(source, join(to, name), { recursive: true, dereference: true })
    await copyDependencies(source, to, copied)
  }
}

/** A Node 20 of this machine, else the one that runs the tests. */
export async function oldestNode(): Promise<string> {
  for (const path of ['/usr/bin/node', '/usr/local/bin/node']) {
    const version = await run(path, ['--version']).then(
      ({ stdout }) => stdout,
      () => '',
    )
    if (/^v2[0-3]\./.test(version)) return path
  }
  return process.execPath
}
