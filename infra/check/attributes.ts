// The attributes that machines of the example get, as Terraform would write them. Only the forms in which the modules write
// them are known here; any other ends it, so that nothing is taken for what it might have been.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from '@cdktn/hcl2json'
import { members } from './expression.ts'
import { argumentOf, blocksOf, readModule } from './module.ts'
import { local } from './policy-text.ts'

type Json = string | number | boolean | null | Json[] | { [name: string]: Json }
type Values = Record<string, Json>

const EXAMPLE = 'examples/one-region'

/** The example's settings: those of its tfvars, and otherwise the defaults of its variables. */
export async function settingsOfExample(root: string): Promise<Values> {
  const directory = join(root, EXAMPLE)
  const given = await readFile(join(directory, 'terraform.tfvars.example'), 'utf8')
  const variables = blocksOf(await readModule(directory), 'variable')
  const defaults = variables.flatMap(({ body, labels }) => {
    const value = argumentOf(body, 'default')?.expression
    return value === undefined ? [] : [`${labels[0]} = ${value}`]
  })
  const read = async (text: string) => (await parse('settings.tf', text)) as Values
  return { ...(await read(defaults.join('\n'))), ...(await read(given)) }
}

/** What the instances' `sealed-*` attributes are, by name; `changed` settings replace the example's. */
export async function attributesOfExample(
  root: string,
  changed: Values = {},
): Promise<Record<string, string>> {
  const settings = { ...(await settingsOfExample(root)), ...changed }
  const example = await readModule(join(root, EXAMPLE))
  const call = blocksOf(example, 'module').find(({ labels }) => labels[0] === 'fleet')
  const inputs: Values = {}
  for (const { name, expression } of call?.body.arguments ?? []) {
    const file = /^jsondecode\(file\(var\.(\w+)\)\)$/.exec(expression)?.[1]
    if (file === undefined) {
      const setting = /^var\.(\w+)$/.exec(expression)?.[1]
      if (setting !== undefined) inputs[name] = settings[setting]!
      continue
    }
    const path = join(root, EXAMPLE, `${settings[file]}.example`)
    inputs[name] = JSON.parse(await readFile(path, 'utf8')) as Json
  }
  const fleet = await readModule(join(root, 'modules/fleet'))
  const written = (await members(local(fleet, 'attributes'))) ?? {}
  const values = Object.entries(written).map(([name, text]) => [name, evaluate(text, inputs)])
  return Object.fromEntries(values.filter(([, value]) => value !== null)) as Record<string, string>
}

function evaluate(expression: string, inputs: Values): Json {
  const input = (name: string) => {
    const value = inputs[name]
    if (value === undefined) throw new Error(`the example gives the fleet no ${name}`)
    return value
  }
  const [, name] = /^var\.(\w+)$/.exec(expression) ?? []
  if (name !== undefined) return input(name)
  const [, encoded] = /^jsonencode\(var\.(\w+)\)$/.exec(expression) ?? []
  if (encoded !== undefined) return jsonEncode(input(encoded))
  const [, counted, rest] =
    /^length\(var\.(\w+)\) == 0 \? null : (jsonencode\(.*\))$/.exec(expression) ?? []
  if (counted === undefined || rest === undefined) throw new Error(`not evaluated: ${expression}`)
  return Object.keys(input(counted) as object).length === 0 ? null : evaluate(rest, inputs)
}

/** As the language's function of this name: members sorted, and what HTML knows escaped. */
function jsonEncode(value: Json): string {
  const sorted = (part: Json): Json =>
    Array.isArray(part)
      ? part.map(sorted)
      : part !== null && typeof part === 'object'
        ? Object.fromEntries(
            Object.keys(part)
              .sort()
              .map((name) => [name, sorted(part[name]!)]),
          )
        : part
  return JSON.stringify(sorted(value)).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
