// What an operator may write into the instance's attributes. Mutants tried: an unknown attribute of ours ignored; a tag
// accepted; members that have an attribute of their own taken from sealed-workload; values measured after trimming;
// duplicates read with JSON.parse.
import { SealedError, sha256Hex, utf8 } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import {
  attributesOf,
  MANIFEST,
  OPERATOR,
  REFERENCE,
  WORKLOAD,
} from '../test-support/launch-world.ts'
import { parseAttributes } from './attributes.ts'

const parse = (change: Record<string, unknown> = {}) =>
  parseAttributes(JSON.stringify(attributesOf(change)))
const fails = async (change: Record<string, unknown>, message: RegExp) => {
  const error = await parse(change).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(SealedError)
  expect((error as SealedError).message).toMatch(message)
  expect(['config.invalid', 'json.invalid']).toContain((error as SealedError).code)
}

const ACME = {
  contact: ['mailto:ops@ai.example'],
  directory: 'https://acme.example/directory',
  mode: 'acme',
  names: ['ai.example'],
  terms_agreed: true,
}

describe('attributes', () => {
  it('give image, command, environment, workload and deployment', async () => {
    const parsed = await parse({
      'sealed-command': ['serve', '--port', '8000'],
      'sealed-env': { ZONE: 'b', LOG_LEVEL: 'info' },
    })
    expect(parsed).toMatchObject({
      reference: REFERENCE,
      command: ['serve', '--port', '8000'],
      env: [
        { name: 'LOG_LEVEL', value: 'info' },
        { name: 'ZONE', value: 'b' },
      ],
      workload: WORKLOAD,
      operator: { ...OPERATOR, replicas: 1 },
    })
  })

  it('are kept by the digests of their values as read, ours alone', async () => {
    const { read } = await parse({ 'sealed-image': `${REFERENCE}\n` })
    expect(read.map(({ name }) => name)).toEqual([
      'sealed-deployment',
      'sealed-image',
      'sealed-workload',
    ])
    expect(read[1]!.digest).toBe(await sha256Hex(utf8(`${REFERENCE}\n`)))
  })

  it.each(['sealed-foo', 'sealed-images', 'sealed_image', 'Sealed-Env', 'sealed-', 'SEALED-ENV'])(
    'of ours that are not known are refused by name: %s',
    (name) => fails({ [name]: 'x' }, new RegExp(`attribute ${name} is not known`)),
  )

  it.each(['google-logging-enabled', 'unsealed-env', 'startup-script', 'constructor', '__proto__'])(
    'of others are ignored: %s',
    async (name) => {
      expect((await parse({ [name]: '{"broken' })).read.length).toBe(3)
    },
  )

  it.each(['sealed-image', 'sealed-workload', 'sealed-deployment'])('%s must be there', (name) =>
    fails({ [name]: undefined }, new RegExp(`attribute ${name} is missing`)),
  )

  it('twice is refused, and so is what is no object, or no text', async () => {
    const twice = `{"sealed-image":"a","sealed-image":"b"}`
    await expect(parseAttributes(twice)).rejects.toThrow(/member "sealed-image" twice/)
    await expect(parseAttributes('[]')).rejects.toThrow(/must be a JSON object/)
    await expect(parseAttributes('{"sealed-image":7}')).rejects.toThrow(/sealed-image is no text/)
  })
})

describe('sealed-image', () => {
  it.each([
    ['a tag', 'europe-docker.pkg.dev/p/r/i:latest'],
    ['a tag and a digest', `europe-docker.pkg.dev/p/r/i:latest@sha256:${MANIFEST}`],
    ['no registry', `library/demo@sha256:${MANIFEST}`],
    ['a scheme', `https://gcr.io/p/demo@sha256:${MANIFEST}`],
    ['a user', `user@gcr.io/p/demo@sha256:${MANIFEST}`],
    ['an upper-case digest', `gcr.io/p/demo@sha256:${MANIFEST.toUpperCase()}`],
    ['a short digest', `gcr.io/p/demo@sha256:${MANIFEST.slice(2)}`],
    ['a query', `gcr.io/p/demo?x@sha256:${MANIFEST}`],
  ])('with %s is refused', (_, reference) =>
    fails({ 'sealed-image': reference }, /attribute sealed-image: must/),
  )
})

describe('sealed-workload', () => {
  it.each(['command', 'env', 'image'])('may not give %s', (member) =>
    fails({ 'sealed-workload': { ...WORKLOAD, [member]: [] } }, new RegExp(`sealed-${member}`)),
  )
  it.each([
    ['no JSON', '{'],
    ['a member twice', '{"name":"a","name":"b"}'],
    ['a list', '[]'],
    ['a float', '{"port":8000.5}'],
  ])('that is %s is refused', (_, text) => fails({ 'sealed-workload': text }, /sealed-workload/))
})

describe('sealed-command', () => {
  it.each(['[]', '"serve"', '[1]', '{}', 'serve'])('that is %s is refused', (text) =>
    fails({ 'sealed-command': text }, /attribute sealed-command/),
  )
})

describe('sealed-env', () => {
  it.each([
    '{"path":"x"}',
    '{"A":1}',
    '{"A":"x","A":"y"}',
    '[]',
    '{"LD-PRELOAD":"x"}',
    '{"__proto__":"x"}',
  ])('that is %s is refused', (text) => fails({ 'sealed-env': text }, /attribute sealed-env/))
})

describe('sealed-deployment', () => {
  const operator = (change: Record<string, unknown>) => ({
    'sealed-deployment': { ...OPERATOR, ...change },
  })

  it.each([
    'state_dir',
    'runtime_dir',
    'tpm',
    'tee',
    'pause',
    'id',
    'probes',
    'workloads',
    'launch',
    'unsealed',
  ])('may not give %s, which is the image’s', (member) =>
    fails(operator({ [member]: '/tmp' }), /attribute sealed-deployment/),
  )

  it.each([
    ['host', { host: '0.0.0.0' }],
    ['port', { port: 80 }],
    ['admin_port', { admin_port: 1 }],
    ['files', { tls: { mode: 'files', certificate: '/etc/shadow', key: '/etc/shadow' } }],
    ['ACME roots', { tls: { ...ACME, roots: '/etc/shadow' } }],
    ['ACME account', { tls: { ...ACME, external_account: { key: '/etc/shadow', key_id: 'k' } } }],
  ])('may not give the gateway’s %s', (_, gateway) =>
    fails(operator({ gateway }), /attribute sealed-deployment\.gateway/),
  )

  it('may have its certificate from an ACME server', async () => {
    const { operator: given } = await parse(operator({ gateway: { tls: ACME } }))
    expect(given.gateway.tls).toEqual(ACME)
  })

  it('may give names for the certificate, and what a registry needs', async () => {
    const gateway = { tls: { mode: 'embassy', names: ['ai.example'] } }
    const registry_ca = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n'
    const change = { gateway, registry: 'registry.example:5000', registry_ca }
    expect((await parse(operator(change))).operator).toMatchObject(change)
  })

  it('names the registry that a certificate is for', () =>
    fails(operator({ registry_ca: '-----BEGIN CERTIFICATE-----' }), /registry_ca stands with/))

  it.each(['registry', 'https://registry.example', 'registry.example/x', '../etc', 'a b.example'])(
    'may not name %s as a registry',
    (registry) => fails(operator({ registry }), /sealed-deployment\.registry/),
  )
})
