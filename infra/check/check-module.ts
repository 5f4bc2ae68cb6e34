// One module against the language, the providers' schemas and the modules that it calls. What it finds is said with file and
// line; nothing found is an empty list.
import { basename, join, resolve } from 'node:path'
import { format } from '@cdktn/hcl-tools'
import { checkBody, type Place } from './check-body.ts'
import { checkIgnored, checkReferences } from './check-references.ts'
import { literal, members } from './expression.ts'
import { EVERY_CALL, EVERY_RESOURCE, OUTPUT, VARIABLE } from './language.ts'
import { argumentOf, blocksOf, type Module, nestedOf, type Placed, readModule } from './module.ts'
import type { BlockSchema, ProviderSchema, ResourceSchema } from './schema.ts'

const TOP = ['terraform', 'provider', 'variable', 'locals', 'output', 'resource', 'module']

export async function checkModule(directory: string, schemas: ProviderSchema[]): Promise<string[]> {
  const problems: string[] = []
  const reportIn =
    ({ name }: { name: string }) =>
    (line: number, message: string) => {
      problems.push(`${join(basename(directory), name)}:${line}: ${message}`)
    }
  const module = await readModule(directory)
  for (const file of module.files) {
    const report = reportIn(file)
    if ((await format(file.text)) !== file.text) report(1, 'is not formatted: terraform fmt')
    for (const { type, line } of file.body.blocks)
      if (!TOP.includes(type)) report(line, `${type} is no block of a module here`)
    for (const { name, line } of file.body.arguments) report(line, `${name} stands outside a block`)
  }
  const place = (block: Placed, nested: Place['nested'] = 'blocks'): Place => ({
    name: block.labels.join('.'),
    line: block.line,
    nested,
    report: reportIn({ name: block.file }),
  })

  for (const variable of blocksOf(module, 'variable'))
    await checkBody(variable.body, VARIABLE, place(variable))
  for (const output of blocksOf(module, 'output'))
    await checkBody(output.body, OUTPUT, place(output))

  const resourceOf = (type: string): ResourceSchema | undefined =>
    schemas.map(({ resources }) => resources[type]).find((found) => found !== undefined)
  for (const resource of blocksOf(module, 'resource')) {
    const own = place(resource)
    const type = resource.labels[0]!
    const provider = schemas.find(({ resources }) => type in resources)
    if (!provider) {
      own.report(
        own.line,
        `${type}: no provider has such a resource (or update-schemas.ts was not run)`,
      )
      continue
    }
    const schema = withOthers(provider.resources[type]!, EVERY_RESOURCE)
    await checkResource(resource, schema, place(resource, provider.nested))
  }
  for (const block of blocksOf(module, 'provider')) {
    const provider = schemas.find((schema) => schema.provider.endsWith(`/${block.labels[0]}`))
    if (provider) await checkBody(block.body, provider.configuration, place(block))
    else place(block).report(block.line, `provider ${block.labels[0]} has no schema here`)
  }

  const calls = new Map<string, Set<string>>()
  for (const call of blocksOf(module, 'module')) {
    const source = await literal(argumentOf(call.body, 'source')?.expression ?? '""')
    const path = 'text' in source ? resolve(directory, source.text) : directory
    const called = await readModule(path)
    const outputs = blocksOf(called, 'output').map(({ labels }) => labels[0]!)
    calls.set(call.labels[0]!, new Set(outputs))
    await checkBody(call.body, withOthers(inputsOf(called), EVERY_CALL), place(call))
  }
  await checkReferences(module, { calls, resourceOf }, reportIn)
  await checkVersions(module, schemas, place)
  return problems
}

/** Lifecycle and its like are the language's, whatever the provider's nested values look like. */
async function checkResource(block: Placed, schema: BlockSchema, place: Place): Promise<void> {
  const { arguments: own, blocks } = block.body
  const language = blocks.filter(({ type }) => type in EVERY_RESOURCE.blocks)
  const rest = blocks.filter(({ type }) => !(type in EVERY_RESOURCE.blocks))
  await checkBody({ arguments: own, blocks: rest }, schema, place)
  const bare = { arguments: {}, blocks: EVERY_RESOURCE.blocks }
  await checkBody({ arguments: [], blocks: language }, bare, { ...place, nested: 'blocks' })
  await checkIgnored(block.body, schema, place.report)
}

const withOthers = (schema: BlockSchema, others: BlockSchema): BlockSchema => ({
  arguments: { ...schema.arguments, ...others.arguments },
  blocks: { ...schema.blocks, ...others.blocks },
})

function inputsOf(module: Module): BlockSchema {
  const inputs = blocksOf(module, 'variable').map(({ labels, body }): [string, string] => [
    labels[0]!,
    argumentOf(body, 'default') ? 'any' : 'any!',
  ])
  return { arguments: Object.fromEntries(inputs), blocks: {} }
}

/** Every provider that is used is named, in exactly the version whose types were checked against. */
async function checkVersions(
  module: Module,
  schemas: ProviderSchema[],
  place: (block: Placed) => Place,
): Promise<void> {
  const [terraform] = blocksOf(module, 'terraform')
  if (!terraform) throw new Error(`${module.directory} has no terraform block with its providers`)
  const { report, line } = place(terraform)
  const named = nestedOf(terraform.body, 'required_providers')[0]?.body.arguments ?? []
  const used = new Set(blocksOf(module, 'resource').map(({ labels }) => labels[0]!.split('_')[0]!))
  for (const name of used)
    if (!named.some((provider) => provider.name === name))
      report(line, `provider ${name} is used and not in required_providers`)
  for (const { name, expression, line } of named) {
    const schema = schemas.find(({ provider }) => provider.endsWith(`/${name}`))
    const { source, version } = (await members(expression)) ?? {}
    if (source !== `"${schema?.provider}"` || version !== `"${schema?.provider_version}"`)
      report(line, `${name} must be ${schema?.provider} ${schema?.provider_version}, as checked`)
  }
}
