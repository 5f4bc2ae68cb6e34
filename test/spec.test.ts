// SPEC.md and the verifier name the same sections: every check says where it is specified.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CHECKS } from '@sealed/protocol'
import { expect, test } from 'vitest'

test('every check’s section stands in SPEC.md', async () => {
  const spec = await readFile(join(import.meta.dirname, '..', 'protocol', 'SPEC.md'), 'utf8')
  const sections = new Set([...spec.matchAll(/^## (.+)$/gm)].map(([, title]) => title))
  for (const section of Object.values(CHECKS)) expect(sections).toContain(section)
})
