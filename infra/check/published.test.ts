// The schemas that are committed are what the published packages say, no more and no less. npm brings 40 MB for it; where it
// brings nothing, that cannot be looked at, and the test says so. Mutants tried: a required argument made optional in
// infra/schema/google.json, another integrity in packages.ts, requirements of nested blocks not read.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { extractResource, sourceOf } from './extract.ts'
import { INFRA, MODULES, readModule, resourceTypes } from './module.ts'
import { PACKAGES, schemaFrom, Unobtainable } from './packages.ts'
import { committedSchemas, schemaPath } from './schemas.ts'

const PACK_MS = 300_000

const modules = await Promise.all(MODULES.map((name) => readModule(join(INFRA, name))))
const types = resourceTypes(modules)

test('every resource that is used has a schema, and no other', async () => {
  const known = (await committedSchemas()).flatMap(({ resources }) => Object.keys(resources))
  expect(known.sort()).toEqual(types)
})

for (const source of PACKAGES)
  test(
    `the schema of ${source.package} is what it publishes`,
    async ({ skip }) => {
      const used = types.filter((type) => type.startsWith(source.prefix))
      const schema = await schemaFrom(source, used).catch((error: unknown) => {
        if (error instanceof Unobtainable) return skip(error.message)
        throw error
      })
      expect(`${JSON.stringify(schema)}\n`).toBe(await readFile(schemaPath(source), 'utf8'))
    },
    PACK_MS,
  )

describe('a package that reads otherwise than expected ends it:', () => {
  const compiled = (source: string) => {
    const map = Buffer.from(JSON.stringify({ sourcesContent: [source] })).toString('base64')
    return `//# sourceMappingURL=data:application/json;base64,${map}`
  }
  const resource = (member: string) => `export class Thing extends cdktf.TerraformResource {
  // name - computed: false, optional: false, required: true
  protected synthesizeHclAttributes() {
    const attrs = {
      ${member}: {
        value: cdktf.stringToHclTerraform(this._name),
        isBlock: false,
        type: "simple",
        storageClassType: "string",
      },
    };
    // remove undefined attributes
  }
}
`
  test('read as it should be', () => {
    expect(extractResource(sourceOf(compiled(resource('name'))))).toEqual({
      arguments: { name: 'string!' },
      blocks: {},
      reads: ['name'],
    })
  })
  test('no source map', () => {
    expect(() => sourceOf('export {}')).toThrow('no source map')
  })
  test('no resource', () => {
    expect(() => extractResource('export {}')).toThrow('no class')
  })
  test('an argument of which nothing says whether it is required', () => {
    expect(() => extractResource(resource('other'))).toThrow('whether other is required')
  })
})
