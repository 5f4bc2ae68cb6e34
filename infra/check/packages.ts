// Which packages the schemas are taken from, and how they are had: npm brings the archive, its integrity is the one that is
// written down, and of its some hundred megabytes only the files of the resources that are used are unpacked.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { extractResource, sourceOf } from './extract.ts'
import type { ProviderSchema } from './schema.ts'

/** How long npm may take over an archive of 32 MB. */
const PACK_MS = 240_000

const run = promisify(execFile)

export interface ProviderPackage {
  package: string
  version: string
  integrity: string
  nested: ProviderSchema['nested']
  /** Where its types of resources begin: `google_`. */
  prefix: string
}

export const PACKAGES: ProviderPackage[] = [
  {
    package: '@cdktf/provider-google',
    version: '16.12.1',
    integrity:
      'sha512-KqNA/5RiFT07r0PSZ6/07cJ2zESUgbj1JchVj21iBFBZVUbD+578xA/k8eq/r0cbyEgLmg9eYWeVslaYah4DCQ==',
    nested: 'blocks',
    prefix: 'google_',
  },
  {
    package: '@cdktf/provider-cloudflare',
    version: '13.9.1',
    integrity:
      'sha512-8O8Kot+yWYyhgHjrQEyqZ3V5eyt3eRigYrTbSrbB5cy/Q5cWFPCwJ9OxTJpPIJZkplCW+cYXsCSA7GrNTtS1hw==',
    nested: 'arguments',
    prefix: 'cloudflare_',
  },
]

/** npm did not bring the package: there is none, or no way to it. */
export class Unobtainable extends Error {}

/** The schema of these resources, out of the published package. */
export async function schemaFrom(
  source: ProviderPackage,
  resources: string[],
): Promise<ProviderSchema> {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-schema-'))
  try {
    const archive = await pack(source, directory)
    const folders = resources.map((type) => folderOf(source, type))
    const files = [...folders, 'provider'].map((folder) => `package/lib/${folder}/index.js`)
    await run('tar', ['-xzf', archive, '-C', directory, 'package/README.md', ...files])
    const read = async (folder: string) => {
      const path = join(directory, 'package', 'lib', folder, 'index.js')
      return extractResource(sourceOf(await readFile(path, 'utf8')))
    }
    const readme = await readFile(join(directory, 'package', 'README.md'), 'utf8')
    const [, provider, version] = /bindings for (\S+) provider version (\S+)/.exec(readme) ?? []
    if (provider === undefined || version === undefined)
      throw new Error(`the README of ${source.package} does not say which provider it is of`)
    const { reads: _, ...configuration } = await read('provider')
    const entries = resources.map(async (type) => [type, await read(folderOf(source, type))])
    return {
      package: source.package,
      version: source.version,
      integrity: source.integrity,
      provider,
      provider_version: version,
      nested: source.nested,
      configuration,
      resources: Object.fromEntries(await Promise.all(entries)),
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const folderOf = ({ prefix }: ProviderPackage, type: string) =>
  type.slice(prefix.length).replaceAll('_', '-')

async function pack(source: ProviderPackage, directory: string): Promise<string> {
  const name = `${source.package}@${source.version}`
  const options = { cwd: directory, timeout: PACK_MS }
  const { stdout } = await run('npm', ['pack', '--silent', name], options).catch((cause) => {
    throw new Unobtainable(`npm did not bring ${name}`, { cause })
  })
  const archive = join(directory, stdout.trim())
  const digest = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64')
  if (`sha512-${digest}` !== source.integrity)
    throw new Error(`${name} is not what it was: sha512-${digest}, expected ${source.integrity}`)
  return archive
}
