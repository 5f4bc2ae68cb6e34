// The committed JSON Schemas of the files that people write are those of the parser. `UPDATE_SCHEMAS=1` writes them, then `npm run format`.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  apiKeysSchema,
  baseSchema,
  deploymentSchema,
  operatorSchema,
  policySchema,
  referenceValuesSchema,
  workloadSchema,
} from '@sealed/protocol'
import { toJsonSchema } from '@valibot/to-json-schema'
import { expect, test } from 'vitest'

const SCHEMAS = {
  base: baseSchema,
  keys: apiKeysSchema,
  policy: policySchema,
  'reference-values': referenceValuesSchema,
  sealed: deploymentSchema,
  'sealed-deployment': operatorSchema,
  workload: workloadSchema,
}

for (const [name, schema] of Object.entries(SCHEMAS))
  test(`the schema of ${name}.json is that of its parser`, async () => {
    const path = join(import.meta.dirname, '..', 'protocol', 'schemas', `${name}.schema.json`)
    const generated = toJsonSchema(schema, { errorMode: 'ignore', typeMode: 'input' })
    if (process.env.UPDATE_SCHEMAS === '1') await writeFile(path, JSON.stringify(generated))
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(generated)
  })
