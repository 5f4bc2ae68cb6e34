// Writes infra/schema/*.json anew: the resources that the modules use, as the published types have them.
//   node infra/check/update-schemas.ts
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { INFRA, MODULES, readModule, resourceTypes } from './module.ts'
import { PACKAGES, schemaFrom } from './packages.ts'
import { schemaPath } from './schemas.ts'

const modules = await Promise.all(MODULES.map((name) => readModule(join(INFRA, name))))
const types = resourceTypes(modules)

for (const source of PACKAGES) {
  const used = types.filter((type) => type.startsWith(source.prefix))
  const schema = await schemaFrom(source, used)
  const path = schemaPath(source)
  await writeFile(path, `${JSON.stringify(schema)}\n`)
  process.stdout.write(
    `${path}: ${used.length} resources of ${schema.provider} ${schema.provider_version}\n`,
  )
}
