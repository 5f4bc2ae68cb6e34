// What stands in an image's place where there is no container engine: a list of the files that a workload is made of.
// The list's SHA-256 is the image's identity, and nothing of it is started unless every file is the one that it names.
import { readFile } from 'node:fs/promises'
import { check, digest, parseStrict, SealedError, sha256Hex, text } from '@sealed/protocol'
import * as v from 'valibot'

const path = v.pipe(text(4096), v.regex(/^\//, 'must be an absolute path'))
const programSchema = v.strictObject({
  files: v.pipe(v.array(v.strictObject({ digest, path })), v.minLength(1), v.maxLength(1024)),
  /** The one of them that Node runs. */
  main: path,
  version: v.literal(1),
})
export type Program = v.InferOutput<typeof programSchema>

/** Throws `config.invalid` unless the list is `image`, and every file what it says. */
export async function loadProgram(listPath: string, image: string): Promise<Program> {
  const bytes = await readFile(listPath).catch(() => {
    throw invalid(`${listPath} cannot be read`)
  })
  if ((await sha256Hex(bytes)) !== image) throw invalid(`${listPath} is not program ${image}`)
  const program = check(
    programSchema,
    parseStrict(bytes.toString('utf8')),
    listPath,
    'config.invalid',
  )
  for (const file of program.files) {
    const content = await readFile(file.path).catch(() => undefined)
    if (!content || (await sha256Hex(content)) !== file.digest)
      throw invalid(`${file.path} is not the file that ${listPath} names`)
  }
  if (!program.files.some((file) => file.path === program.main))
    throw invalid(`${listPath} does not list its own main file`)
  return program
}

const invalid = (message: string) => new SealedError('config.invalid', message)
