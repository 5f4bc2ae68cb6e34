// What an expression refers to, and what it is where it is written out: taken from the syntax tree of HashiCorp's parser,
// never from the text.
import { getExpressionAst } from '@cdktn/hcl2json'

/** Names along a traversal: `module.image.repository["id"]` is module, image, repository. Indexes are left out. */
export interface Reference {
  path: string[]
}

/** `text` where the whole value is written out; `unknown` is anything that has to be evaluated. */
export type Literal =
  | { kind: 'string' | 'number' | 'bool' | 'null'; text: string }
  | { kind: 'list' | 'object' | 'unknown' }

interface Step {
  type: 'nameTraversal' | 'indexTraversal'
  segment: string
}

interface Node {
  type: string
  meta?: {
    type?: string
    value?: string
    traversal?: Step[]
    name?: string
    items?: Record<string, string>
    keyVar?: string
    valVar?: string
  }
  children?: Node[] | null
}

/** Each is asked for more than once, and taking one apart is most of the work. */
const trees = new Map<string, Promise<Node>>()

function tree(expression: string): Promise<Node> {
  const known = trees.get(expression) ?? parsed(expression)
  trees.set(expression, known)
  return known
}

async function parsed(expression: string): Promise<Node> {
  const node = (await getExpressionAst('expression.tf', expression)) as Node | null
  if (!node) throw new Error(`this is no expression: ${expression}`)
  return node
}

/** What it refers to outside itself: variables of its own `for` are left out. */
export async function references(expression: string): Promise<Reference[]> {
  return [...found(await tree(expression), new Set())]
}

function* found(node: Node, own: Set<string>): Generator<Reference> {
  const inner =
    node.type === 'for' ? new Set([...own, node.meta?.keyVar ?? '', node.meta?.valVar ?? '']) : own
  const path = reach(node)
  if (path) {
    if (!inner.has(path[0]!)) yield { path }
    // What was gone through may hold others: keys of an index.
    if (node.type === 'relativeTraversal') yield* keys(node, inner)
    return
  }
  for (const child of node.children ?? []) yield* found(child, inner)
}

/** The names that lead to a value, through indexes and splats; undefined where it begins with something else. */
function reach(node: Node): string[] | undefined {
  if (node.type === 'scopeTraversal') return names(node)
  const source = node.children?.[0]
  if (!source) return undefined
  if (node.type === 'index') return reach(source)
  if (node.type === 'splat') {
    const start = reach(source)
    const rest = node.children?.[1]
    return start && [...start, ...(rest?.type === 'relativeTraversal' ? names(rest) : [])]
  }
  if (node.type === 'relativeTraversal') {
    const start = reach(source)
    return start && [...start, ...names(node)]
  }
  return undefined
}

function* keys(node: Node, own: Set<string>): Generator<Reference> {
  for (const [index, child] of (node.children ?? []).entries())
    if (node.type === 'index' && index > 0) yield* found(child, own)
    else yield* keys(child, own)
}

const names = (node: Node): string[] =>
  (node.meta?.traversal ?? [])
    .filter(({ type }) => type === 'nameTraversal')
    .map(({ segment }) => segment)

/** Members of an object that is written out, with their expressions; undefined for anything else. */
export async function members(expression: string): Promise<Record<string, string> | undefined> {
  const node = await tree(expression)
  return node.type === 'object' ? (node.meta?.items ?? {}) : undefined
}

/** Elements of a list that is written out, as expressions; undefined for anything else. */
export async function elements(expression: string): Promise<string[] | undefined> {
  const node = await tree(expression)
  if (node.type !== 'tuple') return undefined
  return (node.children ?? []).map(({ meta }) => meta?.value ?? '')
}

/** Names of the functions that it calls. */
export async function calls(expression: string): Promise<string[]> {
  const of = (node: Node): string[] => [
    ...(node.type === 'function' ? [node.meta?.name ?? ''] : []),
    ...(node.children ?? []).flatMap(of),
  ]
  return of(await tree(expression))
}

export async function literal(expression: string): Promise<Literal> {
  const node = await tree(expression)
  if (node.type === 'tuple') return { kind: 'list' }
  if (node.type === 'object') return { kind: 'object' }
  if (node.type === 'literalValue') return plain(node)
  const [part, ...others] = node.children ?? []
  if (node.type === 'template' && part === undefined) return { kind: 'string', text: '' }
  if (node.type === 'template' && others.length === 0 && part?.type === 'literalValue')
    return { kind: 'string', text: part.meta?.value ?? '' }
  return { kind: 'unknown' }
}

function plain({ meta }: Node): Literal {
  const text = meta?.value ?? ''
  if (text === 'null') return { kind: 'null', text }
  const kind = meta?.type
  return kind === 'number' || kind === 'bool' || kind === 'string'
    ? { kind, text }
    : { kind: 'unknown' }
}
