// What infra writes into an instance's attributes is what the image takes: the example's own, as Terraform would write them,
// through the launch's parser, into the files that embassy and gateway start from, on the base that the image holds.
//
// Mutants that turn this red: an empty command, or environment, written as one; an attribute under another name; the example's
// tls.mode embassy, or its certificate for another host; its ACME directory left out of the ways out; the variable's pattern
// without its end, or with the parts of a repository not looked at; a list that nix/keys names otherwise.
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  check,
  imageReference,
  parseBase,
  parseDeployment,
  type SealedError,
  utf8,
} from '@sealed/protocol'
import { describe, expect, test } from 'vitest'
import { parseAttributes } from '../embassy/src/launch/attributes.ts'
import { filesOf, workloadOf } from '../embassy/src/launch/files.ts'
import { attributesOfExample, settingsOfExample } from '../infra/check/attributes.ts'
import { withChange } from '../infra/check/copies.ts'
import { argumentOf, blocksOf, INFRA, nestedOf, readModule } from '../infra/check/module.ts'
import { REPOSITORY } from '../scripts/instance/paths.ts'
import { evaluate, NIX } from './nix/support/nix.ts'

const FLEET = 'modules/fleet/main.tf'
const EXAMPLE = 'examples/one-region'
const CONFIG = 'cd'.repeat(32)
const PAUSE = { archive: '/usr/lib/sealed/pause.tar', image: 'ef'.repeat(32) }

/** What a machine is given, through all that its launch asks of it. */
async function launched(root: string, changed: Parameters<typeof attributesOfExample>[1] = {}) {
  const attributes = await attributesOfExample(root, changed)
  const parsed = await parseAttributes(JSON.stringify(attributes))
  const workload = workloadOf(parsed, CONFIG)
  const contents = `(import ${NIX}/contents.nix { console = "production"; policyKey = ""; securityVersion = 1; })`
  const base = { ...(await evaluate<object>(`${contents}.base`)), pause: PAUSE }
  const files = filesOf(parseBase(utf8(JSON.stringify(base))), parsed, workload, '/run/config')
  return { attributes, deployment: parseDeployment(files.get('sealed.json')!), workload }
}

/** With one place of infra's files changed: what the launch says. */
const refusal = (file: string, from: string, to: string) =>
  withChange(file, from, to, (root) =>
    launched(root).then(
      () => 'launched',
      (error: SealedError) => `${error.code} ${error.message}`,
    ),
  )

describe('the example', () => {
  test('launches, with nothing given that was left out', async () => {
    const { attributes, deployment, workload } = await launched(INFRA)
    expect(Object.keys(attributes).sort()).toEqual([
      'sealed-deployment',
      'sealed-image',
      'sealed-workload',
    ])
    expect(workload).toMatchObject({ env: [], image: CONFIG })
    expect(workload).not.toHaveProperty('command')
    expect(deployment.gateway).toMatchObject({ host: '0.0.0.0', port: 443 })
    expect(deployment.api_keys).toBe('/run/config/keys.json')
  })

  test('gets its certificate: for its host, from an authority that it may reach', async () => {
    const { deployment } = await launched(INFRA)
    const { host, reach } = await settingsOfExample(INFRA)
    const { tls } = deployment.gateway
    if (tls.mode !== 'acme') throw new Error(`tls.mode is ${tls.mode}`)
    expect(tls.names).toEqual([host])
    const { hostname, port } = new URL(tls.directory)
    expect(reach).toEqual([{ name: hostname, port: Number(port || 443) }])
  })

  test('brings command and environment to the workload, whatever is in them', async () => {
    const workload_command = ['serve', '--template', '<b>&\u2028"é']
    const { workload } = await launched(INFRA, {
      workload_command,
      workload_env: { ZONE: 'a&b', LOG_LEVEL: '' },
    })
    expect(workload.command).toEqual(workload_command)
    expect(workload.env).toEqual([
      { name: 'LOG_LEVEL', value: '' },
      { name: 'ZONE', value: 'a&b' },
    ])
  })
})

describe('a machine is not launched by', () => {
  test.each([
    [
      'an empty command in the place of none',
      FLEET,
      'length(var.workload_command) == 0 ? null : jsonencode(var.workload_command)',
      'jsonencode(var.workload_command)',
      /^config.invalid attribute sealed-command/,
    ],
    [
      'an attribute that the image does not know',
      FLEET,
      '    sealed-workload   =',
      '    sealed-workloads  =',
      /attribute sealed-workloads is not known/,
    ],
    [
      'a workload file whole',
      `${EXAMPLE}/workload.json.example`,
      '  "version": 1',
      `  "image": "${CONFIG}",\n  "version": 1`,
      /image has an attribute of its own/,
    ],
    [
      'a deployment that says where the state lies',
      `${EXAMPLE}/deployment.json.example`,
      '  "version": 1',
      '  "state_dir": "/tmp",\n  "version": 1',
      /^config.invalid attribute sealed-deployment/,
    ],
    [
      'a deployment that names files of the machine',
      `${EXAMPLE}/deployment.json.example`,
      '"mode": "acme"',
      '"mode": "files"',
      /^config.invalid attribute sealed-deployment/,
    ],
  ])('%s', async (_, file, from, to, expected) => {
    expect(await refusal(file, from, to)).toMatch(expected)
  })
})

test('the image’s Secure Boot variables are lists that nix/keys makes, and nothing private', async () => {
  const keys = await mkdtemp(join(tmpdir(), 'sealed-keys-'))
  try {
    await promisify(execFile)(process.execPath, [join(REPOSITORY, 'nix/keys.ts'), keys])
    const files = (await readModule(join(INFRA, 'modules/image'))).files
    const read = files.flatMap(({ text }) => [...text.matchAll(/\$\{var\.keys\}\/([\w.]+)/g)])
    const names = [...new Set(read.map(([, name]) => name!))]
    expect(names.sort()).toEqual(['KEK.esl', 'PK.esl', 'db.esl', 'dbx.esl'])
    expect(await readdir(keys)).toEqual(expect.arrayContaining(names))
  } finally {
    await rm(keys, { recursive: true })
  }
})

describe('what workload_image may be', async () => {
  const variables = blocksOf(await readModule(join(INFRA, 'modules/fleet')), 'variable')
  const image = variables.find(({ labels }) => labels[0] === 'workload_image')!
  const [validation] = nestedOf(image.body, 'validation')
  const condition = argumentOf(validation!.body, 'condition')!.expression
  const pattern = new RegExp(
    /^can\(regex\("([^"\\]+)", var\.workload_image\)\)$/.exec(condition)![1]!,
  )
  const launches = (reference: string) =>
    check(imageReference, reference, 'reference', 'config.invalid')
  const digest = `@sha256:${'0'.repeat(64)}`

  test.each([
    `europe-west4-docker.pkg.dev/a-project/sealed/model${digest}`,
    `gcr.io/p/a.b_c/d-e${digest}`,
    `registry.example/model${digest}`,
  ])('launches and is planned: %s', (reference) => {
    expect(pattern.test(reference)).toBe(true)
    expect(launches(reference)).toBe(reference)
  })

  test.each([
    `europe-west4-docker.pkg.dev/p/r/model:latest`,
    `europe-west4-docker.pkg.dev/p/r/model:latest${digest}`,
    `library/model${digest}`,
    `registry/library/model${digest}`,
    `-.example/model${digest}`,
    `registry.example/Model${digest}`,
    `registry.example/-/model${digest}`,
    `registry.example/model-${digest}`,
    `registry.example//model${digest}`,
    `https://registry.example/model${digest}`,
    `registry.example/model${digest}0`,
    `registry.example/model${digest.replace('0', 'A')}`,
  ])('does neither: %s', (reference) => {
    expect(pattern.test(reference)).toBe(false)
    expect(() => launches(reference)).toThrow()
  })
})
