// The root: an EROFS image with its dm-verity hash tree behind it, from which every byte of it follows.
import { mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Contents, compose } from './compose.ts'
import { given, givenJson, tool } from './tools.ts'

const UUID = '5ea1ed00-0000-4000-8000-000000000001'
const BLOCK = 4096

const tree = join(process.cwd(), 'tree')
mkdirSync(tree)
compose(tree, givenJson<Contents>('contents'), given('packages'), given('bundle'))
await writeBase(givenJson<Record<string, unknown>>('base'))

const out = given('out')
mkdirSync(out)
const image = join(out, 'root.img')
tool('usr/bin/mkfs.erofs', [
  '-zlz4hc,9',
  '-C65536',
  '-T0',
  '--all-root',
  `-U${UUID}`,
  '--quiet',
  image,
  tree,
])
const size = Math.ceil(statSync(image).size / BLOCK) * BLOCK
truncateSync(image, size)
const format = [
  '--no-superblock',
  `--hash-offset=${size}`,
  `--salt=${given('salt')}`,
  '--hash=sha256',
]
const printed = tool('usr/sbin/veritysetup', [
  'format',
  ...format,
  `--data-blocks=${size / BLOCK}`,
  image,
  image,
])
const rootHash = /^Root hash:\s+([0-9a-f]{64})$/m.exec(printed)?.[1]
if (!rootHash) throw new Error(`veritysetup printed no root hash:\n${printed}`)
writeFileSync(
  join(out, 'verity.json'),
  `${JSON.stringify({ blocks: size / BLOCK, root_hash: rootHash })}\n`,
)

/** What the image fixes of a deployment, with the container that holds a replica's network: made here, of busybox. */
async function writeBase(base: Record<string, unknown>): Promise<void> {
  const archive = 'usr/lib/sealed/pause.tar'
  const { buildImage } = (await import(join(given('source'), 'workloads/image/build.ts'))) as {
    buildImage: (name: 'pause', out: string, busybox: string) => Promise<string>
  }
  const image = await buildImage('pause', join(tree, archive), given('busybox'))
  rmSync(join(tree, `${archive}.built.json`))
  const whole = { ...base, pause: { archive: `/${archive}`, image } }
  mkdirSync(join(tree, 'etc/sealed'), { recursive: true })
  writeFileSync(join(tree, 'etc/sealed/base.json'), `${JSON.stringify(whole)}\n`)
}
