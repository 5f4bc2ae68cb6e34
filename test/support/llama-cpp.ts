// A real llama.cpp: Debian's packages of it with every library they need, run under their own loader, since the Debian
// here may be older than they are. They are taken from the archive at the versions that the suite has, under apt's
// signatures, unpacked into .sealed, and not asked for again.
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ARCHIVE, privateApt } from '../../nix/apt.ts'
import { neededBy } from '../../nix/steps/libraries.ts'
import type { Image } from '../../scripts/instance/images.ts'
import { REPOSITORY } from '../../scripts/instance/paths.ts'
import { gguf, loadModelFiles } from '../../workloads/adapters/llama.cpp/gguf.ts'
import { writeDockerArchive } from '../../workloads/image/docker-archive.ts'
import type { Entry } from '../../workloads/image/tar.ts'

const SUITE = 'forky'
/** The server and its libraries, and the headers that the tap is compiled with. */
const PACKAGES = [
  ...['llama.cpp-tools', 'libllama0', 'libggml0', 'libssl3t64', 'libzstd1', 'zlib1g'],
  ...['libc6', 'libgcc-s1', 'libstdc++6', 'libgomp1'],
  ...['libllama-dev', 'libggml-dev', 'libc6-dev', 'linux-libc-dev'],
]
const KEPT = join(REPOSITORY, '.sealed', 'llama.cpp')
const ROOT = join(KEPT, 'root')
const ADAPTER = join(REPOSITORY, 'workloads', 'adapters', 'llama.cpp')
const LIBRARIES = 'usr/lib/x86_64-linux-gnu'
const SEARCHED = [LIBRARIES, `${LIBRARIES}/llama`]
/** Opened by the server itself, as the processor is. */
const BACKENDS = `${LIBRARIES}/ggml/backends0`
export const LOADER = 'usr/lib64/ld-linux-x86-64.so.2'
export const SERVER = 'usr/bin/llama-server'

interface Fetched {
  wanted: string
  files: string[]
}

/** A directory that can be a root: the unpacked packages, `model.gguf` and `tap.so`. */
export function provideLlama(): string {
  const noted = join(KEPT, 'fetched.json')
  const wanted = [SUITE, ...PACKAGES].join(' ')
  let fetched = existsSync(noted) ? (JSON.parse(readFileSync(noted, 'utf8')) as Fetched) : undefined
  if (fetched?.wanted !== wanted) {
    fetched = { wanted, files: fetchPackages() }
    writeFileSync(noted, JSON.stringify(fetched))
  }
  writeFileSync(
    join(ROOT, 'model.gguf'),
    gguf(loadModelFiles(join(REPOSITORY, 'workloads', 'model'))),
  )
  try {
    compileLibrary(join(ADAPTER, 'tap.c'), join(ROOT, 'tap.so'))
  } catch (cause) {
    const version = fetched.files.find((name) => name.startsWith('libllama-dev_'))
    throw new Error(`tap.c does not fit ${version}: what tcc says of it is above`, { cause })
  }
  return ROOT
}

/** Names of the packages' files, which hold their versions. */
function fetchPackages(): string[] {
  rmSync(KEPT, { recursive: true, force: true })
  const part = join(KEPT, 'part')
  mkdirSync(join(part, 'root', 'tmp'), { recursive: true })
  try {
    const apt = privateApt(part, [[`${ARCHIVE}/debian`, SUITE]])
    apt('apt-get', 'update', '-q', '--error-on=any')
    apt('apt-get', 'download', '-q', ...PACKAGES)
    const files = readdirSync(part).filter((name) => name.endsWith('.deb'))
    for (const file of files) apt('dpkg-deb', '-x', file, 'root')
    renameSync(join(part, 'root'), ROOT)
    rmSync(part, { recursive: true })
    return files
  } catch (cause) {
    throw new Error(
      `llama-server comes from Debian's archive (${SUITE}) and could not be had: apt says why above. It is asked for once, then kept in ${KEPT}; see that ${ARCHIVE} can be reached and run this again.`,
      { cause },
    )
  }
}

/** Compiles a library against the packages' own headers: this machine may have none. */
export function compileLibrary(source: string, out: string): void {
  const include = join(ROOT, 'usr', 'include')
  const headers = [include, join(include, 'x86_64-linux-gnu')].flatMap((path) => ['-I', path])
  execFileSync('tcc', ['-Wall', '-Werror', '-shared', '-nostdlib', ...headers, '-o', out, source])
}

/** Builds an image as an operator would: the server as it comes, weights and tap on top. */
export async function buildLlamaImage(): Promise<Image> {
  provideLlama()
  const backends = readdirSync(join(ROOT, BACKENDS)).map((name) => `${BACKENDS}/${name}`)
  const programs = [SERVER, ...backends]
  const files = new Map(
    [...programs, ...librariesOf(programs), 'model.gguf', 'tap.so'].map((path) => [path, path]),
  )
  files.set('lib64/ld-linux-x86-64.so.2', LOADER)
  const entries: Entry[] = [...files].map(([path, source]) => ({
    path,
    mode: 0o755,
    type: 'file',
    content: readFileSync(join(ROOT, source)),
  }))
  const folders = [...files.keys()].flatMap((path) => {
    const parts = path.split('/').slice(0, -1)
    return parts.map((_, depth) => parts.slice(0, depth + 1).join('/'))
  })
  for (const path of new Set(['activations', 'tmp', ...folders]))
    entries.push({ path, mode: 0o755, type: 'directory', content: new Uint8Array(0) })
  entries.sort((a, b) => (a.path < b.path ? -1 : 1))
  const archive = join(KEPT, 'image.tar')
  const id = await writeDockerArchive(
    {
      name: 'sealed/test-llama.cpp:local',
      entries,
      entrypoint: [`/${SERVER}`],
      command: [],
      env: {},
      user: '64102:64102',
    },
    archive,
  )
  return { archive, id }
}

function librariesOf(programs: readonly string[]): Set<string> {
  const found = new Set<string>()
  const queue = [...programs]
  for (let next = queue.shift(); next; next = queue.shift())
    for (const name of neededBy(readFileSync(join(ROOT, next)))) {
      const path = SEARCHED.map((directory) => `${directory}/${name}`).find((one) =>
        existsSync(join(ROOT, one)),
      )
      if (!path) throw new Error(`${next} needs ${name}, which none of the packages has`)
      if (!found.has(path)) queue.push(path)
      found.add(path)
    }
  return found
}
