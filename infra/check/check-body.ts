// Whether a block holds what it may hold: no name that its schema does not know, nothing missing that it requires, nested
// blocks as blocks, and values that are written out of the right kind.
import { literal, members } from './expression.ts'
import type { Argument, Block, Body } from './read-body.ts'
import { type BlockSchema, isRequired, type NestedSchema, type ProviderSchema } from './schema.ts'

/** Says what is wrong, and in which line. */
export type Report = (line: number, message: string) => void

export interface Place {
  /** What stands there, for people: `google_compute_image.sealed`. */
  name: string
  line: number
  nested: ProviderSchema['nested']
  report: Report
}

export async function checkBody(body: Body, schema: BlockSchema, place: Place): Promise<void> {
  const { name, line, report } = place
  for (const argument of body.arguments) await checkArgument(argument, schema, place)
  for (const [type, blocks] of byType(body.blocks, place)) {
    const nested = place.nested === 'blocks' ? schema.blocks[type] : undefined
    if (!nested) {
      const known = type in schema.arguments || type in schema.blocks
      const why = known ? 'is an argument, not a block' : 'is no block of it'
      report(blocks[0]!.line, `${name}: ${type} ${why}`)
      continue
    }
    if (blocks.length > 1 && !nested.many)
      report(blocks[1]!.line, `${name}: ${type} may stand only once`)
    for (const block of blocks)
      await checkBody(block.body, nested, { ...place, name: `${name}.${type}`, line: block.line })
  }
  const present = new Set([...body.arguments.map(({ name }) => name), ...typesOf(body.blocks)])
  for (const missing of requiredBy(schema).filter((required) => !present.has(required)))
    report(line, `${name}: ${missing} is required`)
}

const requiredBy = ({ arguments: own, blocks }: BlockSchema): string[] => [
  ...Object.keys(own).filter((name) => isRequired(own[name]!)),
  ...Object.keys(blocks).filter((name) => blocks[name]!.required),
]

const typesOf = (blocks: Block[]) =>
  blocks.map(({ type, labels }) => (type === 'dynamic' ? labels[0]! : type))

/** A dynamic block counts as one of its content. */
function byType(blocks: Block[], { name, report }: Place): Map<string, Block[]> {
  const found = new Map<string, Block[]>()
  for (const block of blocks) {
    const real = block.type === 'dynamic' ? contentOf(block) : block
    if (!real) {
      report(block.line, `${name}: a dynamic block takes for_each and content, and nothing else`)
      continue
    }
    found.set(real.type, [...(found.get(real.type) ?? []), real])
  }
  return found
}

function contentOf({ labels, body, line }: Block): Block | undefined {
  const [content, ...others] = body.blocks
  const [each, ...rest] = body.arguments
  if (others.length > 0 || rest.length > 0 || each?.name !== 'for_each') return undefined
  if (content?.type !== 'content') return undefined
  return { type: labels[0]!, labels: [], body: content.body, line }
}

async function checkArgument(argument: Argument, schema: BlockSchema, place: Place): Promise<void> {
  const { name, report } = place
  const type = schema.arguments[argument.name]
  const nested = schema.blocks[argument.name]
  if (nested && place.nested === 'arguments') {
    await checkMembers(argument, nested, place)
    return
  }
  if (nested) report(argument.line, `${name}: ${argument.name} is a block, not an argument`)
  else if (type === undefined)
    report(argument.line, `${name}: ${argument.name} is no argument of it`)
  else await checkValue(argument, type.replace('!', ''), place)
}

async function checkMembers(argument: Argument, nested: NestedSchema, place: Place): Promise<void> {
  const found = await members(argument.expression)
  if (!found) {
    place.report(argument.line, `${place.name}: ${argument.name} must be written out as an object`)
    return
  }
  const { line } = argument
  const own = Object.entries(found).map(([name, expression]) => ({ name, expression, line }))
  const name = `${place.name}.${argument.name}`
  await checkBody({ arguments: own, blocks: [] }, nested, { ...place, name, line })
}

async function checkValue({ name, expression, line }: Argument, type: string, place: Place) {
  if (type === 'type' || type === 'names' || type.startsWith('any')) return
  const value = await literal(expression)
  if (value.kind === 'unknown' || value.kind === 'null') return
  const fits = type.endsWith('List')
    ? value.kind === 'list'
    : type.endsWith('Map')
      ? value.kind === 'object'
      : 'text' in value && scalarFits(value.text, value.kind, type)
  if (!fits) place.report(line, `${place.name}: ${name} must be a ${type}, it is ${expression}`)
}

function scalarFits(text: string, kind: string, type: string): boolean {
  if (type === 'number') return kind !== 'bool' && text !== '' && Number.isFinite(Number(text))
  if (type === 'boolean') return text === 'true' || text === 'false'
  return true
}
