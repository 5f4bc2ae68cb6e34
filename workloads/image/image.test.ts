import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { buildImage } from './build.ts'
import { type ImageSpec, imageParts, writeDockerArchive } from './docker-archive.ts'
import { type Entry, tar } from './tar.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'image-test-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const untar = (archive: string, name: string): Buffer =>
  execFileSync('tar', ['-xOf', archive, name], { maxBuffer: 256 * 1024 * 1024 })
const list = (archive: Uint8Array): string =>
  execFileSync('tar', ['-tv', '--numeric-owner'], {
    input: archive,
    encoding: 'utf8',
    env: { ...process.env, TZ: 'UTC' },
  })

const entry = (path: string, content: string, mode = 0o644): Entry => ({
  path,
  mode,
  type: 'file',
  content: Buffer.from(content),
})
const spec = (...entries: Entry[]): ImageSpec => ({
  name: 'sealed/test:local',
  entries,
  command: ['/a'],
  env: { A: 'b' },
  user: '64102:64102',
})

test('an archive is what docker load expects, and its id the digest of its config', async () => {
  const out = join(directory, 'x.tar')
  const folder: Entry = { path: 'd', mode: 0o1777, type: 'directory', content: new Uint8Array(0) }
  const id = await writeDockerArchive(
    spec(entry('a', 'x'.repeat(513), 0o755), folder, entry('d/b', '')),
    out,
  )
  const [manifest] = JSON.parse(untar(out, 'manifest.json').toString()) as object[]
  expect(manifest).toEqual({
    Config: `${id}.json`,
    Layers: ['layer.tar'],
    RepoTags: ['sealed/test:local'],
  })
  const config = untar(out, `${id}.json`)
  expect(sha256(config)).toBe(id)
  const layer = untar(out, 'layer.tar')
  expect(JSON.parse(config.toString())).toMatchObject({
    config: { Cmd: ['/a'], Env: ['A=b'], User: '64102:64102' },
    rootfs: { diff_ids: [`sha256:${sha256(layer)}`] },
  })
  expect(list(layer).trim().split('\n')).toEqual([
    expect.stringMatching(/^-rwxr-xr-x 0\/0 +513 1970-01-01 00:00 a$/),
    expect.stringMatching(/^drwxrwxrwt 0\/0 +0 1970-01-01 00:00 d\/$/),
    expect.stringMatching(/^-rw-r--r-- 0\/0 +0 1970-01-01 00:00 d\/b$/),
  ])
})

test("Python's tarfile reads the same of an archive as was put into it", () => {
  const name = 'n'.repeat(100)
  const entries: Entry[] = [
    { path: 'd', mode: 0o1777, type: 'directory', content: new Uint8Array(0) },
    entry('d/é', 'x'.repeat(512)),
    entry(name, 'y', 0o755),
  ]
  const archive = join(directory, 'x.tar')
  writeFileSync(archive, Buffer.concat([...tar(entries)]))
  const script = `
import json, sys, tarfile
with tarfile.open(sys.argv[1], format=tarfile.USTAR_FORMAT, errorlevel=2) as archive:
    members = [[m.name, m.isdir(), m.mode, m.uid, m.gid, m.uname, m.mtime, None if m.isdir() else archive.extractfile(m).read().decode()] for m in archive]
    print(json.dumps([members, archive.offset]))
`
  const read: unknown = JSON.parse(
    execFileSync('python3', ['-c', script, archive], { encoding: 'utf8' }),
  )
  const end = 5 * 512
  expect(read).toEqual([
    [
      ['d', true, 0o1777, 0, 0, '', 0, null],
      ['d/é', false, 0o644, 0, 0, '', 0, 'x'.repeat(512)],
      [name, false, 0o755, 0, 0, '', 0, 'y'],
    ],
    end,
  ])
  expect(statSync(archive).size).toBe(end + 2 * 512)
})

test('the id follows contents, modes and configuration, and nothing else', async () => {
  const of = (input: ImageSpec, name: string) => writeDockerArchive(input, join(directory, name))
  const id = await of(spec(entry('a', 'x')), '1.tar')
  expect(await of(spec(entry('a', 'x')), '2.tar')).toBe(id)
  expect(readFileSync(join(directory, '2.tar'))).toEqual(readFileSync(join(directory, '1.tar')))
  const others = [
    spec(entry('a', 'y')),
    spec(entry('b', 'x')),
    spec(entry('a', 'x', 0o755)),
    { ...spec(entry('a', 'x')), env: {} },
    { ...spec(entry('a', 'x')), user: '0:0' },
  ]
  const ids = await Promise.all(others.map((other, i) => of(other, `other-${i}.tar`)))
  expect(new Set([id, ...ids]).size).toBe(others.length + 1)
})

test('a path that no tar header holds is refused, and leaves nothing behind', async () => {
  const out = join(directory, 'x.tar')
  await expect(writeDockerArchive(spec(entry('a'.repeat(101), '')), out)).rejects.toThrow(
    '100 bytes',
  )
  expect(() => statSync(out)).toThrow('ENOENT')
})

test.each(['noop', 'reference', 'hostile', 'pause'] as const)(
  'two builds of %s have one id, and a third is not made',
  async (name) => {
    const [one, two] = [join(directory, 'one.tar'), join(directory, 'two.tar')]
    const id = await buildImage(name, one)
    expect(await buildImage(name, two)).toBe(id)
    const made = statSync(one, { bigint: true })
    expect(await buildImage(name, one)).toBe(id)
    expect(statSync(one, { bigint: true })).toMatchObject({ ino: made.ino, mtimeNs: made.mtimeNs })
  },
)

test('when a source was last touched is in no image', async () => {
  const source = join(import.meta.dirname, '..', 'noop', 'main.ts')
  const { atime, mtime } = statSync(source)
  const id = await buildImage('noop', join(directory, 'before.tar'))
  try {
    utimesSync(source, atime, new Date(mtime.getTime() + 3_600_000))
    expect(statSync(source).mtimeMs).not.toBe(mtime.getTime())
    expect(await buildImage('noop', join(directory, 'after.tar'))).toBe(id)
  } finally {
    utimesSync(source, atime, mtime)
  }
})

test('an archive of other inputs is made anew', async () => {
  const out = join(directory, 'x.tar')
  const id = await buildImage('pause', out)
  const built = `${out}.built.json`
  writeFileSync(built, JSON.stringify({ id: '0'.repeat(64), inputs: '0'.repeat(64) }))
  expect(await buildImage('pause', out)).toBe(id)
  expect(JSON.parse(readFileSync(built, 'utf8'))).toMatchObject({ id })
})

test('tests and their helpers are in no image', async () => {
  const out = join(directory, 'x.tar')
  await buildImage('reference', out)
  const files = list(untar(out, 'layer.tar'))
  expect(files).toContain('app/reference/main.ts')
  expect(files).toContain('model/model.safetensors')
  expect(files).not.toMatch(/\.test\.ts|test-support|train\/|vectors/)
})

test('labels stand in the config, and an image without any has no such member', () => {
  const plain = spec(entry('a', 'b'))
  const without = imageParts(plain)
  const made = imageParts({ ...plain, labels: { 'sealed.egress': 'none' } })
  const configOf = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString('utf8')).config
  expect(configOf(made.config).Labels).toEqual({ 'sealed.egress': 'none' })
  expect(configOf(without.config)).not.toHaveProperty('Labels')
  expect(made.id).toBe(sha256(made.config))
  expect(made.layerDigest).toBe(without.layerDigest)
})
