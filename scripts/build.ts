// `npm run build`: protocol and client as packages for strangers, in dist/: ESM with types, for Node ≥ 20 and browsers.
// Inside this repository their sources run as they are, which Node does not do under node_modules; so what is published
// has a package.json of its own, and the one in the sources is private.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from './instance/paths.ts'

interface Source {
  name: string
  version: string
  dependencies: Record<string, string>
  exports: Record<string, string>
  bin?: Record<string, string>
}

const compiled = (path: string) => path.replace(/\.ts$/, '.js')
const renamed = (paths: Record<string, string> = {}) =>
  Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, compiled(path)]))

function build(room: string): void {
  const target = join(REPOSITORY, 'dist', room)
  rmSync(target, { recursive: true, force: true })
  const config = join(REPOSITORY, room, 'tsconfig.build.json')
  const tsc = join(REPOSITORY, 'node_modules', '.bin', 'tsc')
  const { status } = spawnSync(tsc, ['-p', config], { cwd: REPOSITORY, stdio: 'inherit' })
  if (status !== 0) throw new Error(`${room} does not compile`)
  const source = JSON.parse(readFileSync(join(REPOSITORY, room, 'package.json'), 'utf8')) as Source
  const { name, version, dependencies } = source
  const entry = (path: string) => ({
    types: path.replace(/\.ts$/, '.d.ts'),
    default: compiled(path),
  })
  const published = {
    name,
    version,
    type: 'module',
    engines: { node: '>=20' },
    exports: Object.fromEntries(
      Object.entries(source.exports).map(([name, path]) => [name, entry(path)]),
    ),
    ...(source.bin && { bin: renamed(source.bin) }),
    files: ['**/*.js', '**/*.d.ts', '*.md'],
    sideEffects: false,
    dependencies,
  }
  writeFileSync(join(target, 'package.json'), `${JSON.stringify(published, null, 2)}\n`)
  for (const page of ['README.md', 'SPEC.md'])
    if (existsSync(join(REPOSITORY, room, page)))
      copyFileSync(join(REPOSITORY, room, page), join(target, page))
  process.stdout.write(`built ${name} ${version} in dist/${room}\n`)
}

// In this order: client is compiled against what protocol was compiled to.
build('protocol')
build('client')
