// `node main.ts [--base FILE] [--out DIRECTORY] [--metadata-url URL]`, once a boot, as root, before embassy and gateway:
// reads what the instance is to run, pulls and measures it, and writes their files. Nothing is read from the environment:
// the arguments stand in the measured image.
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { parseBase, SealedError } from '@sealed/protocol'
import { logOf } from '../log.ts'
import { openTpm } from '../tpm/index.ts'
import { dockerImages } from './images.ts'
import { launch } from './launch.ts'
import { openMetadata } from './metadata.ts'

const log = logOf('launch')

try {
  const { values } = parseArgs({
    options: {
      base: { type: 'string', default: '/etc/sealed/base.json' },
      out: { type: 'string', default: '/run/sealed-config' },
      'metadata-url': { type: 'string', default: 'http://169.254.169.254' },
    },
  })
  const base = parseBase(
    await readFile(values.base).catch(() => {
      throw new SealedError('config.invalid', `no base at ${values.base}: pass --base FILE`)
    }),
  )
  await launch({
    base,
    metadata: openMetadata({ url: values['metadata-url'], log }),
    images: dockerImages(),
    openTpm: () => openTpm(base.tpm.path),
    directory: values.out,
    log,
  })
  log('launched', { directory: values.out })
} catch (error) {
  const known = error instanceof SealedError
  log('not launched', {
    code: known ? error.code : 'internal.error',
    reason: known ? error.message : String((error as Error).stack),
  })
  process.exitCode = 1
}
