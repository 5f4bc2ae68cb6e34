// The schemas that are committed.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { INFRA } from './module.ts'
import { PACKAGES, type ProviderPackage } from './packages.ts'
import type { ProviderSchema } from './schema.ts'

export const schemaPath = ({ prefix }: ProviderPackage) =>
  join(INFRA, 'schema', `${prefix.slice(0, -1)}.json`)

export const committedSchemas = (): Promise<ProviderSchema[]> =>
  Promise.all(
    PACKAGES.map(
      async (source) => JSON.parse(await readFile(schemaPath(source), 'utf8')) as ProviderSchema,
    ),
  )
