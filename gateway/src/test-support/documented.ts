// Holds an answer against the OpenAPI document: path, method, status, media type, headers and the form of its body.
import { Validator } from '@cfworker/json-schema'
import { DOCUMENT } from '../openapi/document.ts'
import type { Part } from '../openapi/parts.ts'

/** Headers that say nothing of this API. */
const ORDINARY =
  /^(?:cache-control|content-(?:length|security-policy|type)|connection|date|keep-alive|transfer-encoding|vary|x-accel-buffering|x-content-type-options|access-control-.*)$/

const { components } = DOCUMENT
const paths = DOCUMENT.paths as Record<string, Record<string, Part>>
export const OPERATIONS = Object.entries(paths).flatMap(([path, item]) =>
  Object.keys(item)
    .filter((name) => name !== 'parameters')
    .map((method) => ({ method: method.toUpperCase(), path })),
)

/** Tiles have slashes in their index; every other parameter is one part of a path. */
const MATCHERS = Object.keys(paths).map((path) => {
  const pattern = path.replace(/\{(\w+)\}/g, (_, name) => (name === 'index' ? '.+' : '[^/]+'))
  return { path, matches: new RegExp(`^${pattern}$`) }
})
// A log's origin could be read as a part of it: the shorter path is meant.
const templateOf = (path: string) => MATCHERS.find(({ matches }) => matches.test(path))?.path

const schemas = new Map<string, Validator>()
function problemsOf(schema: Part, value: unknown): string[] {
  const key = JSON.stringify(schema)
  const validator =
    schemas.get(key) ?? new Validator({ ...schema, components } as object, '2020-12', false)
  schemas.set(key, validator)
  return validator.validate(value).errors.map((e) => `${e.instanceLocation}: ${e.error}`)
}

/** What is wrong with this answer, in words; nothing where it is as documented. */
export async function undocumented(
  method: string,
  path: string,
  answer: Response,
): Promise<string[]> {
  const { status } = answer
  const template = templateOf(path)
  const operation = paths[template ?? '']?.[(method === 'HEAD' ? 'GET' : method).toLowerCase()]
  const type = answer.headers.get('content-type')?.split(';')[0] ?? ''
  // What a workload answered has the form that the workload gave it.
  const isWorkloads = answer.headers.has('sealed-salt')
  const body = async (): Promise<unknown> => {
    const text = await answer.clone().text()
    try {
      return JSON.parse(text)
    } catch (error) {
      if (isWorkloads) return undefined
      throw error
    }
  }
  if (!operation) {
    // A preflight has no operation, and a known path may be asked with any method.
    if (method === 'OPTIONS' && status === 204) return []
    if (![401, 404, 405, 429, 503].includes(status)) return [`${method} ${path} is not documented`]
    return problemsOf({ $ref: '#/components/schemas/Error' }, await body())
  }
  const responses = operation.responses as Record<string, Part>
  const response = responses[status] ?? responses.default
  if (!response) return [`${status} is not documented`]
  const problems: string[] = []
  const known = Object.keys((response.headers ?? {}) as Part)
  for (const [name, value] of answer.headers) {
    if (ORDINARY.test(name)) continue
    if (!known.includes(name)) problems.push(`${status} has no header ${name}`)
    const { schema } = (components.headers as Record<string, Part>)[name] ?? {}
    if (schema) problems.push(...problemsOf(schema as Part, value).map((p) => `${name} ${p}`))
  }
  if (!response.content || answer.body === null || (isWorkloads && status !== 200)) return problems
  const content = response.content as Record<string, Part>
  const documented = content[type] ?? content['*/*']
  if (!documented) return [...problems, `${status} has no ${type}`]
  const { schema } = documented
  if (schema && method !== 'HEAD' && /^(?:application\/json|text\/plain|text\/html)/.test(type)) {
    const value = type === 'application/json' ? await body() : await answer.clone().text()
    if (value !== undefined) problems.push(...problemsOf(schema as Part, value))
  }
  return problems
}
