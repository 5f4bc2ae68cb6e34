// The table of defects in README.md names files and tests that are there, for every one of the twenty.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { REPOSITORY } from '../../scripts/instance/paths.ts'

const rows = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8')
  .split('\n')
  .map((line) => /^\| (.*?) ?\| `(.+)` \| (.+) \|$/.exec(line))
  .filter((row) => row !== null)

test('every defect has a row', () => {
  const numbers = rows.flatMap(([, defect]) => /^\d+(?= )/.exec(defect!)?.[0] ?? [])
  expect(numbers.map(Number)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
})

test.each(rows.map(([, , file, name]) => [file!, name!]))('%s: %s', (file, name) => {
  const source = readFileSync(join(REPOSITORY, file), 'utf8').replace(/\\'/g, '’')
  // Named by it or test, or a row of a table of cases.
  expect(source).toContain(`'${name}'`)
})
