// SPEC.md, the verifier and the vectors speak of the same things: every check says where it is specified and stands in
// the list of checks, and every example is what the vectors hold.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CHECKS } from '@sealed/protocol'
import { expect, test } from 'vitest'

const PROTOCOL = join(import.meta.dirname, '..', 'protocol')
const spec = await readFile(join(PROTOCOL, 'SPEC.md'), 'utf8')

test('every check’s section stands in SPEC.md', () => {
  const sections = new Set([...spec.matchAll(/^## (.+)$/gm)].map(([, title]) => title))
  for (const section of Object.values(CHECKS)) expect(sections).toContain(section)
})

test('every check stands in the list of them, in order', () => {
  const verdict = spec.slice(spec.indexOf('\n## Verdict\n'), spec.indexOf('\n## Claims\n'))
  const listed: string[] = []
  let kind = ''
  for (const line of verdict.split('\n')) {
    const [, first = ''] = line.split('|')
    const names = [...first.matchAll(/`([a-z_.…]+)`/g)].map(([, name]) => name!)
    if (names[0]?.endsWith('.')) kind = names[0]
    else for (const name of names) listed.push(`${kind}${name}`)
  }
  const ids = Object.keys(CHECKS).map((id) => id.replace(/tee_.*/, 'tee_…'))
  expect(listed).toEqual([...new Set(ids)])
})

const cut = (text: string) =>
  text.length <= 96 || text.includes('\n') ? text : `${text.slice(0, 64)}…`

/** A value of a vector file as an example shows it. */
async function shown(entry: string): Promise<string> {
  const [format, name, path] = entry.split(' | ') as [string, string, string]
  const file = JSON.parse(await readFile(join(PROTOCOL, 'vectors', `${format}.json`), 'utf8'))
  const where = name === '-' ? path : `“${name}”, ${path}`
  const from = name === '-' ? file : file.cases.find((each: { name: string }) => each.name === name)
  const value = path.split('.').reduce((inner, step) => inner[step], from)
  const text =
    typeof value === 'string'
      ? cut(value).replace(/\n+$/, '')
      : JSON.stringify(sorted(value), (_, each) => (typeof each === 'string' ? cut(each) : each))
  return `# ${format}.json, ${where}\n${text}\n`
}

const sorted = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(sorted)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(members.map(([name, inner]) => [name, sorted(inner)]))
}

test('every example is cut from the vectors', async () => {
  const blocks = [...spec.matchAll(/<!-- vectors: (.+) -->\n```\n([\s\S]*?)```\n<!-- end -->/g)]
  expect(blocks.length).toBeGreaterThan(15)
  expect(blocks.length).toBe(spec.split('<!-- vectors: ').length - 1)
  for (const [, entries, text] of blocks)
    expect(text).toBe((await Promise.all(entries!.split('; ').map(shown))).join(''))
})
