// Images that hold some of this machine's own files and nothing else: a test's program, without a registry.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeDockerArchive } from '../../workloads/image/docker-archive.ts'

/** A program with the shared libraries that it is linked to. */
export function withLibraries(program: string): string[] {
  const listed = execFileSync('ldd', [program], { encoding: 'utf8' })
  return [program, ...[...listed.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!)]
}

/** Writes the archive; resolves with the image's id in hex. */
export function imageOf(
  name: string,
  files: readonly string[],
  command: readonly string[],
  out: string,
): Promise<string> {
  const folders = new Set(
    files.flatMap((path) => {
      const parts = path.slice(1).split('/').slice(0, -1)
      return parts.map((_, depth) => parts.slice(0, depth + 1).join('/'))
    }),
  )
  const entries = [
    ...['activations', 'tmp', ...folders].map((path) => ({
      path,
      mode: 0o755,
      type: 'directory' as const,
      content: new Uint8Array(0),
    })),
    ...[...new Set(files)].map((path) => ({
      path: path.slice(1),
      mode: 0o755,
      type: 'file' as const,
      content: readFileSync(path),
    })),
  ]
  entries.sort((a, b) => (a.path < b.path ? -1 : 1))
  return writeDockerArchive(
    { name: `sealed/test-${name}:local`, entries, command, env: {}, user: '64102:64102' },
    out,
  )
}
