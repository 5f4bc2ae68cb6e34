// What a provider takes, as its published types say it (extract.ts writes it down, infra/schema/ holds it).

export interface BlockSchema {
  /** Name to type (`string`, `number`, `boolean`, `stringList`, `stringMap`, …); a required one ends in `!`. */
  arguments: Record<string, string>
  blocks: Record<string, NestedSchema>
}

export interface NestedSchema extends BlockSchema {
  required: boolean
  /** Whether it may stand more than once. */
  many: boolean
}

export interface ResourceSchema extends BlockSchema {
  /** What others may read of it. */
  reads: string[]
}

export interface ProviderSchema {
  package: string
  version: string
  /** Of the package, as its registry has it. */
  integrity: string
  provider: string
  provider_version: string
  /** Providers of the newer kind take nested values as arguments: `data = {}`, not `data {}`. */
  nested: 'blocks' | 'arguments'
  configuration: BlockSchema
  resources: Record<string, ResourceSchema>
}

export const isRequired = (type: string) => type.endsWith('!')
