// `node main.ts [--base FILE] [--out DIRECTORY] [--metadata-url URL] [--attempts N]`, once a boot, as root, before embassy and gateway:
// reads what the instance is to run, pulls and measures it, and writes their files. Nothing is read from the environment:
// the arguments stand in the measured image.
import { access, readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { type Base, parseBase, SealedError } from '@sealed/protocol'
import { logOf } from '../log.ts'
import { openTpm } from '../tpm/index.ts'
import { fetchCertificate } from './fetch-certificate.ts'
import { dockerImages } from './images.ts'
import { type LaunchDeps, launch } from './launch.ts'
import { type Metadata, openMetadata } from './metadata.ts'
import { persist } from './persist.ts'

const log = logOf('launch')

/** What a processor that reports has, whichever it is. */
const REPORTERS = ['/dev/sev-guest', '/dev/tdx_guest']
/** The log that goes with TDX's reports. */
const TDX_LOG = '/sys/firmware/acpi/tables/data/CCEL'

/** The same image starts on a processor that reports and on one that does not; a receipt says which it was. */
async function fitted({ tee, ...base }: Base): Promise<Base> {
  const exists = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    )
  const [snp, tdx] = await Promise.all(REPORTERS.map(exists))
  if (tee === undefined || !(snp || tdx)) return base
  return { ...base, tee: tdx ? { ...tee, event_log: TDX_LOG } : tee }
}

let metadata: Metadata | undefined
try {
  const { values } = parseArgs({
    options: {
      base: { type: 'string', default: '/etc/sealed/base.json' },
      out: { type: 'string', default: '/run/sealed-config' },
      attempts: { type: 'string', default: '1' },
      'metadata-url': { type: 'string', default: 'http://169.254.169.254' },
    },
  })
  metadata = openMetadata({ url: values['metadata-url'], log })
  const base = await fitted(
    parseBase(
      await readFile(values.base).catch(() => {
        throw new SealedError('config.invalid', `no base at ${values.base}: pass --base FILE`)
      }),
    ),
  )
  const deps: LaunchDeps = {
    base,
    metadata,
    images: dockerImages(base.docker_socket),
    openTpm: () => openTpm(base.tpm.path),
    fetchCertificate,
    directory: values.out,
    log,
  }
  await persist(() => launch(deps), Number(values.attempts))
  log('launched', { directory: values.out })
  await metadata.report('launched')
} catch (error) {
  const known = error instanceof SealedError
  const code = known ? error.code : 'internal.error'
  log('not launched', { code, reason: known ? error.message : String((error as Error).stack) })
  await metadata?.report(known ? `${code}: ${error.message}` : code)
  process.exitCode = 1
}
