// The structure of HCL where it is easily misread. Mutants tried, each turns a row red: templates in strings not followed,
// comments read, heredocs read, single-line blocks not left, keys of an index not looked at.
import { expect, test } from 'vitest'
import { calls, elements, literal, members, references } from './expression.ts'
import { readBody } from './read-body.ts'

const shape = (text: string) => {
  const outline = ({ arguments: own, blocks }: ReturnType<typeof readBody>): unknown => ({
    ...Object.fromEntries(own.map(({ name, expression }) => [name, expression])),
    ...Object.fromEntries(
      blocks.map(({ type, labels, body }) => [[type, ...labels].join(' '), outline(body)]),
    ),
  })
  return outline(readBody(text))
}

test.each([
  [
    'an argument and a block',
    'a = [{ b = 1 }]\nc {\n  d = 2\n}\n',
    { a: '[{ b = 1 }]', c: { d: '2' } },
  ],
  ['labels', 'resource "x_y" "z" {}\n', { 'resource x_y z': {} }],
  ['a block in one line', 'a { b = "}" }\nc = 1\n', { a: { b: '"}"' }, c: '1' }],
  ['braces and quotes in strings', 'a = "}{\\"["\nb = 1\n', { a: '"}{\\"["', b: '1' }],
  [
    'templates in strings',
    'a = "x-${f({ y = "}" })}"\nb = 1\n',
    { a: '"x-${f({ y = "}" })}"', b: '1' },
  ],
  ['what only looks like a template', 'a = "$${"\nb = "%%{"\n', { a: '"$${"', b: '"%%{"' }],
  ['expressions of more lines', 'a = f(\n  1,\n  2\n)\nb = 1\n', { a: 'f(\n  1,\n  2\n)', b: '1' }],
  ['comments', '# a = 1\n// b {\n/* c = 2\n} */\nd = 3 # }\n', { d: '3' }],
  ['comments inside', 'a = [ # ]\n  1,\n]\nb = 1\n', { a: '[ # ]\n  1,\n]', b: '1' }],
  ['heredocs', 'a = <<-EOT\n  } b = 2\n  EOT\nc = 3\n', { a: '<<-EOT\n  } b = 2\n  EOT', c: '3' }],
])('%s', (_, text, expected) => {
  expect(shape(text)).toEqual(expected)
})

test('says in which line something stands', () => {
  expect(readBody('\n# x\na = 1\nb "c" {\n  d = 2\n}\n')).toMatchObject({
    arguments: [{ name: 'a', line: 3 }],
    blocks: [{ line: 4, body: { arguments: [{ name: 'd', line: 5 }] } }],
  })
})

test.each(['a {\n', 'a = "b\n', '= 1\n', 'a = <<EOT\nb\n', '}\n'])('refuses %j', (text) => {
  expect(() => readBody(text)).toThrow()
})

test.each([
  ['"a-${var.b}-${module.c.d["e"]}"', ['var.b', 'module.c.d']],
  ['[for x in var.y : x.z]', ['var.y']],
  ['{ for k, v in local.m : k => merge(v, { a = "${v.b}/${var.c}" }) }', ['local.m', 'var.c']],
  [
    'google_dns_managed_zone.google[each.key].name',
    ['google_dns_managed_zone.google.name', 'each.key'],
  ],
  ['one(module.edge[*].origin)', ['module.edge.origin']],
  ['var.a ? var.b : !var.c', ['var.a', 'var.b', 'var.c']],
])('what %s refers to', async (expression, expected) => {
  const found = await references(expression)
  expect(found.map(({ path }) => path.join('.'))).toEqual(expected)
})

test('what is written out, and what is not', async () => {
  expect(await literal('"a"')).toEqual({ kind: 'string', text: 'a' })
  expect(await literal('12')).toEqual({ kind: 'number', text: '12' })
  expect(await literal('true')).toEqual({ kind: 'bool', text: 'true' })
  expect(await literal('null')).toEqual({ kind: 'null', text: 'null' })
  expect(await literal('[]')).toEqual({ kind: 'list' })
  expect(await literal('{}')).toEqual({ kind: 'object' })
  for (const evaluated of ['"${var.a}"', 'var.a', 'f(1)'])
    expect(await literal(evaluated)).toEqual({ kind: 'unknown' })
  expect(await members('{ a = 1, b-c = var.d }')).toEqual({ a: '1', 'b-c': 'var.d' })
  expect(await elements('["a", var.b]')).toEqual(['"a"', 'var.b'])
  expect(await members('var.a')).toBeUndefined()
  expect(await elements('concat([], [])')).toBeUndefined()
  expect(await calls('f(g(1), [h()])')).toEqual(['f', 'g', 'h'])
})
