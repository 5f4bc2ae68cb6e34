// What a workload can do with weights that are mounted into it: a directory that would be its own to write, and a perl
// program that tries.
import { chownSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const TARGET = '/opt/models'
const FILE = `${TARGET}/model.safetensors`

/** Its result is `READ_ONLY` where it reads and does not write. */
export const TRIES = [
  `open(F, '<', '${FILE}'); print RESULT <F>`,
  `print RESULT open(G, '>', '${TARGET}/new') ? ' written' : " $!"`,
  `print RESULT unlink('${FILE}') ? ' removed' : " $!"`,
].join('; ')
export const READ_ONLY = 'weights Read-only file system Read-only file system'

export async function weightsIn(directory: string) {
  const source = join(directory, 'volume')
  await mkdir(source)
  await writeFile(join(source, 'model.safetensors'), 'weights')
  chownSync(source, 64102, 64102)
  return { weights: [{ source, target: TARGET }] }
}
