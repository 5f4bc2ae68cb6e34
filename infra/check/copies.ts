// Copies of the modules with one thing changed, for tests that show what is noticed.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { INFRA } from './module.ts'

/**
 * Runs something on a copy in which a file has one place replaced.
 *
 * @throws Error where the file does not have that place exactly once: the change would be another, or none.
 */
export async function withChange<T>(
  file: string,
  from: string,
  to: string,
  look: (root: string) => Promise<T>,
): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'sealed-infra-'))
  try {
    for (const part of ['modules', 'examples'])
      await cp(join(INFRA, part), join(root, part), { recursive: true })
    const path = join(root, file)
    const text = await readFile(path, 'utf8')
    const places = text.split(from).length - 1
    if (places !== 1) throw new Error(`${file} has ${places} of: ${from}`)
    await writeFile(
      path,
      text.replace(from, () => to),
    )
    return await look(root)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
