// How the policy reads a module: by the source text of arguments, so that whatever is not written out is not taken for it.
import { elements, literal } from './expression.ts'
import { argumentOf, blocksOf, type Module, nestedOf, type Placed } from './module.ts'
import type { Body } from './read-body.ts'

/** Notes the message where it does not hold. */
export type Must = (holds: boolean, message: string) => void

export const only = (module: Module, type: string): Placed[] =>
  blocksOf(module, 'resource').filter(({ labels }) => labels[0] === type)

/** Source text at a path of nested blocks that each stand once: `match.layer4_configs.ports`. */
export function text(body: Body, path: string): string | undefined {
  const [first = '', ...rest] = path.split('.')
  if (rest.length === 0) return argumentOf(body, first)?.expression.replace(/\s+/g, ' ')
  const found = nestedOf(body, first)
  return found.length === 1 ? text(found[0]!.body, rest.join('.')) : undefined
}

/** A list of texts that is written out; undefined for anything else. */
export async function strings(expression: string | undefined): Promise<string[] | undefined> {
  const found = expression === undefined ? undefined : await elements(expression)
  if (!found) return undefined
  const values = await Promise.all(found.map(literal))
  return values.map((value) => ('text' in value ? value.text : ''))
}

export const same = (found: string[] | undefined, expected: string[]) =>
  JSON.stringify(found?.toSorted()) === JSON.stringify(expected.toSorted())

/** Source text of a local value; an empty list where there is none. */
export function local(module: Module, name: string): string {
  const bodies = blocksOf(module, 'locals').map(({ body }) => body)
  return bodies.map((body) => argumentOf(body, name)?.expression).find(Boolean) ?? '[]'
}
