// Reads what a provider takes out of the types that are published for it on npm: the TypeScript that each file of such a
// package carries in its source map. It says for each name whether it is an argument or a block, of which type, whether it
// is required, and what is only computed. Anything that does not look as expected ends it.
import type { BlockSchema, NestedSchema, ResourceSchema } from './schema.ts'

const SOURCE_MAP = /\/\/# sourceMappingURL=data:application\/json;base64,([A-Za-z0-9+/=]+)\s*$/
const FLAGS = /\/\/ (\w+) - computed: (true|false), optional: (true|false), required: (true|false)/g
const DECLARED = /#(\w+) \w+#\w+\}(?:(?!\*\/)[\s\S])*\*\/\s*readonly \w+(\??):/g
const MEMBER =
  /^ +(\w+): \{\n +value: (.*),\n +isBlock: (true|false),\n +type: "\w+",\n +storageClassType: "(\w+)",\n +\},/gm

/** The TypeScript that a compiled file of a package was made from. */
export function sourceOf(compiled: string): string {
  const [, encoded] = SOURCE_MAP.exec(compiled) ?? []
  if (encoded === undefined) throw new Error('this file has no source map in it')
  const { sourcesContent } = JSON.parse(Buffer.from(encoded, 'base64').toString('utf8')) as {
    sourcesContent?: string[]
  }
  const [source] = sourcesContent ?? []
  if (source === undefined) throw new Error('the source map of this file has no source in it')
  return source
}

/** One resource, or a provider's own configuration. */
export function extractResource(source: string): ResourceSchema {
  const [, name] =
    /export class (\w+) extends cdktf\.Terraform(?:Resource|Provider)/.exec(source) ?? []
  if (name === undefined) throw new Error('no class of a resource or provider in this source')
  const flags = flagsOf(source, `export class ${name} extends cdktf.Terraform`)
  const members = between(source, 'protected synthesizeHclAttributes()', 'remove undefined')
  return { ...extractBlock(source, members, flags), reads: [...flags.keys()].sort() }
}

interface Flags {
  settable: boolean
  required: boolean
}

function extractBlock(source: string, members: string, flags: Map<string, Flags>): BlockSchema {
  const block: BlockSchema = { arguments: {}, blocks: {} }
  for (const [, name = '', value = '', isBlock, type = ''] of members.matchAll(MEMBER)) {
    const flag = flags.get(name)
    if (!flag) throw new Error(`nothing says whether ${name} is required`)
    if (!flag.settable) continue
    if (isBlock === 'true') block.blocks[name] = extractNested(source, value, flag.required)
    else block.arguments[name] = flag.required ? `${type}!` : type
  }
  return block
}

function extractNested(source: string, value: string, required: boolean): NestedSchema {
  const [, writer] = /\b(\w+)ToHclTerraform\b/.exec(value) ?? []
  if (writer === undefined) throw new Error(`this names no block: ${value}`)
  const members = between(source, `export function ${writer}ToHclTerraform(`, 'remove undefined')
  const struct = writer[0]!.toUpperCase() + writer.slice(1)
  const flags = declared(between(source, `export interface ${struct} {`, '\n}\n'))
  const many = value.includes('MapperHcl(')
  return { required, many, ...extractBlock(source, members, flags) }
}

function flagsOf(source: string, start: string): Map<string, Flags> {
  const body = between(source, start, '\n}\n')
  const flags = new Map<string, Flags>()
  for (const [, name = '', , optional, required] of body.matchAll(FLAGS))
    flags.set(name, {
      settable: optional === 'true' || required === 'true',
      required: required === 'true',
    })
  return flags
}

/** Of an interface, which has no members that are only computed. */
function declared(body: string): Map<string, Flags> {
  const flags = new Map<string, Flags>()
  for (const [, name = '', optional] of body.matchAll(DECLARED))
    flags.set(name, { settable: true, required: optional === '' })
  return flags
}

function between(source: string, start: string, end: string): string {
  const from = source.indexOf(start)
  if (from < 0) throw new Error(`this source has no ${start}`)
  const to = source.indexOf(end, from)
  return source.slice(from, to < 0 ? source.length : to)
}
