// The Terraform modules of this folder, read from disk.
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parse } from '@cdktn/hcl2json'
import { type Block, type Body, readBody } from './read-body.ts'

export const INFRA = resolve(import.meta.dirname, '..')

/** From the folder of infra/; an example comes after what it uses. */
export const MODULES = ['modules/image', 'modules/fleet', 'modules/edge', 'examples/one-region']

export interface File {
  name: string
  text: string
  body: Body
}

export interface Module {
  directory: string
  files: File[]
}

export interface Placed extends Block {
  file: string
}

/** @throws Error with file and line where HashiCorp's parser refuses a file. */
export async function readModule(directory: string): Promise<Module> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.tf')).sort()
  if (names.length === 0) throw new Error(`${directory} has no .tf files`)
  const files = names.map(async (name) => {
    const text = await readFile(join(directory, name), 'utf8')
    await parse(name, text)
    return { name, text, body: readBody(text) }
  })
  return { directory, files: await Promise.all(files) }
}

/** Top-level blocks of a type, in the order of files. */
export function blocksOf(module: Module, type: string): Placed[] {
  return module.files.flatMap(({ name, body }) =>
    body.blocks.filter((block) => block.type === type).map((block) => ({ ...block, file: name })),
  )
}

export const argumentOf = (body: Body, name: string) =>
  body.arguments.find((argument) => argument.name === name)

export const nestedOf = (body: Body, type: string) =>
  body.blocks.filter((block) => block.type === type)

/** Types of resources that a module has, each once, sorted. */
export const resourceTypes = (modules: Module[]): string[] =>
  [
    ...new Set(
      modules.flatMap((module) => blocksOf(module, 'resource').map(({ labels }) => labels[0]!)),
    ),
  ].sort()
