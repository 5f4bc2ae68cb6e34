// Whether everything that an expression names is there, and whether everything that was declared is named by something.
import type { Report } from './check-body.ts'
import { calls, elements, references } from './expression.ts'
import { FUNCTIONS } from './language.ts'
import { argumentOf, blocksOf, type File, type Module } from './module.ts'
import type { Block, Body } from './read-body.ts'
import type { BlockSchema, ResourceSchema } from './schema.ts'

export interface Declared {
  /** Outputs of each module that is called, by the name of the call. */
  calls: Map<string, Set<string>>
  resourceOf: (type: string) => ResourceSchema | undefined
}

interface Scope {
  /** Names that only hold here: `each`, `count`, iterators of dynamic blocks. */
  own: Set<string>
  used: Set<string>
  report: Report
}

export async function checkReferences(
  module: Module,
  declared: Declared,
  reportIn: (file: File) => Report,
): Promise<void> {
  const names = namesOf(module)
  const used = new Set<string>()
  for (const file of module.files)
    for (const block of file.body.blocks) {
      // What a variable's own validation says of it is no use of it.
      const scope = {
        own: new Set<string>(),
        used: block.type === 'variable' ? new Set<string>() : used,
      }
      await walk(block.body, enter(block, { ...scope, report: reportIn(file) }), block)
    }
  for (const file of module.files) {
    const report = reportIn(file)
    for (const [name, line] of declaredIn(file))
      if (!used.has(name)) report(line, `${name} is declared and never used`)
  }

  async function walk(body: Body, scope: Scope, parent: Block): Promise<void> {
    for (const { name, expression, line } of body.arguments) {
      if (parent.type === 'variable' && name === 'type') continue
      if (parent.type === 'lifecycle' && name === 'ignore_changes') continue
      const report: Report = (_, message) => scope.report(line, message)
      for (const { path } of await references(expression)) resolve(path, { ...scope, report })
      for (const called of await calls(expression))
        if (!FUNCTIONS.has(called)) report(line, `${called}() is no function that is known here`)
    }
    for (const block of body.blocks) await walk(block.body, enter(block, scope), block)
  }

  function resolve(path: string[], { own, used, report }: Scope): void {
    const [root = '', name = '', member] = path
    const whole = path.join('.')
    if (own.has(root)) return
    if (root === 'var' || root === 'local') {
      used.add(`${root}.${name}`)
      if (!names.has(`${root}.${name}`)) report(0, `${whole}: there is no ${root}.${name}`)
      return
    }
    if (root === 'module') {
      const outputs = declared.calls.get(name)
      if (!outputs) report(0, `${whole}: no module is called ${name}`)
      else if (member !== undefined && !outputs.has(member))
        report(0, `${whole}: module ${name} has no output ${member}`)
      return
    }
    const schema = declared.resourceOf(root)
    if (!schema || !names.has(`${root}.${name}`)) report(0, `${whole}: there is no such thing`)
    else if (member !== undefined && !readable(schema, member))
      report(0, `${whole}: ${root} has no ${member}`)
  }
}

const readable = (schema: ResourceSchema, member: string) =>
  schema.reads.includes(member) || member in schema.blocks

/** What holds inside a block and not outside it. */
function enter({ type, labels, body }: Block, scope: Scope): Scope {
  const own = new Set(scope.own)
  if (type === 'dynamic') own.add(labels[0]!)
  if (argumentOf(body, 'for_each') && type !== 'dynamic') own.add('each')
  if (argumentOf(body, 'count')) own.add('count')
  return { ...scope, own }
}

function namesOf(module: Module): Set<string> {
  const resources = blocksOf(module, 'resource').map(({ labels }) => labels.join('.'))
  return new Set([
    ...resources,
    ...module.files.flatMap((file) => declaredIn(file).map(([name]) => name)),
  ])
}

function declaredIn({ body }: File): [string, number][] {
  return body.blocks.flatMap((block): [string, number][] => {
    if (block.type === 'variable') return [[`var.${block.labels[0]}`, block.line]]
    if (block.type !== 'locals') return []
    return block.body.arguments.map(({ name, line }) => [`local.${name}`, line])
  })
}

/** `ignore_changes` names arguments of its own resource. */
export async function checkIgnored(body: Body, schema: BlockSchema, report: Report): Promise<void> {
  const lifecycle = body.blocks.find(({ type }) => type === 'lifecycle')
  const ignored = lifecycle && argumentOf(lifecycle.body, 'ignore_changes')
  if (!ignored) return
  const names = await elements(ignored.expression)
  if (!names) report(ignored.line, 'ignore_changes must be a list of arguments')
  for (const name of names ?? [])
    if (!(name in schema.arguments || name in schema.blocks))
      report(ignored.line, `ignore_changes: ${name} is no argument of it`)
}
