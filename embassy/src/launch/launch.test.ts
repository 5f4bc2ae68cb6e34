// A launch over a real metadata server, with a TPM and an engine that can be told to fail. Mutants tried: files written
// before what they say is measured; no separator; a PCR that holds something else measured on top of; labels not heeded;
// the whole run measured twice; registry_ca written for another registry than the image's.
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Base,
  isLaunchValue,
  type Launch,
  launchValues,
  parseApiKeys,
  parseDeployment,
  parseWorkload,
  sha256Hex,
} from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeTpm } from '../test-support/fake-tpm.ts'
import {
  attributesOf,
  BASE,
  CONFIG,
  FakeImages,
  MANIFEST,
  OPERATOR,
  REFERENCE,
  WORKLOAD,
} from '../test-support/launch-world.ts'
import {
  instanceOf,
  type MetadataServer,
  startMetadataServer,
} from '../test-support/metadata-server.ts'
import { launch } from './launch.ts'
import { openMetadata } from './metadata.ts'

const PCR = 13
const TOKEN = 'ya29.secret'

let directory: string
let server: MetadataServer
let images: FakeImages
let tpm: FakeTpm
let lines: string[]
let base: Base
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'launch-'))
  server = await startMetadataServer(instanceOf(attributesOf(), TOKEN))
  images = new FakeImages()
  tpm = new FakeTpm()
  lines = []
  base = BASE
})
afterEach(async () => {
  await server.stop()
  await rm(directory, { recursive: true })
})

const out = () => join(directory, 'out')
const run = () => {
  const log = (...line: unknown[]) => void lines.push(JSON.stringify(line))
  const metadata = openMetadata({ url: server.url, log, pauseMs: 0 })
  const fetchCertificate = () => Promise.reject(new Error('the base names a chain'))
  const openTpm = async () => tpm
  return launch({ base, metadata, images, openTpm, fetchCertificate, directory: out(), log })
}
const give = (change: Record<string, unknown>) => {
  server.answer = instanceOf(attributesOf(change), TOKEN)
}
const read = (name: string) => readFile(join(out(), name))
const record = async () => JSON.parse(String(await read('launch.json'))) as Launch
const written = () => readdir(out()).catch(() => [])
const invalid = (message: RegExp) =>
  expect.objectContaining({ code: 'config.invalid', message: expect.stringMatching(message) })

/** Refused, with nothing measured and nothing written. */
const refused = async (message: RegExp) => {
  await expect(run()).rejects.toThrow(invalid(message))
  expect(tpm.pcrs.size).toBe(0)
  expect(await written()).toEqual([])
}

describe('a launch', () => {
  it('writes what embassy and gateway start from, and measures the record of it', async () => {
    images.image = { ...images.image, labels: { 'sealed.allow_env_override': 'LOG_LEVEL' } }
    give({ 'sealed-env': { LOG_LEVEL: 'info' } })
    await run()
    expect(await written()).toEqual(['launch.json', 'sealed.json', 'workload.json'])
    const workload = await read('workload.json')
    expect(parseWorkload(workload)).toEqual({
      ...WORKLOAD,
      env: [{ name: 'LOG_LEVEL', value: 'info' }],
      image: CONFIG,
    })
    const deployment = parseDeployment(await read('sealed.json'))
    expect(deployment).toMatchObject({
      gateway: BASE.gateway,
      launch: join(out(), 'launch.json'),
      tpm: BASE.tpm,
      workloads: [{ file: join(out(), 'workload.json'), replicas: 1 }],
    })
    const launched = await record()
    expect(launched).toMatchObject({
      image: { config: CONFIG, reference: REFERENCE },
      labels: [{ name: 'sealed.allow_env_override', value: 'LOG_LEVEL' }],
      workload: await sha256Hex(workload),
    })
    expect(launched.attributes.map(({ name }) => name)).toEqual([
      'sealed-deployment',
      'sealed-env',
      'sealed-image',
      'sealed-workload',
    ])
    expect(await isLaunchValue(tpm.pcrs.get(PCR)!, launched)).toBe(true)
    expect([...tpm.pcrs.keys()]).toEqual([PCR])
  })

  it('keeps the operator’s values out of the record that everybody reads', async () => {
    images.image = { ...images.image, labels: { 'sealed.allow_env_override': 'KEY' } }
    give({ 'sealed-env': { KEY: 'a-secret-of-the-operator' } })
    await run()
    expect(String(await read('launch.json'))).not.toContain('a-secret')
    expect(lines.join('')).not.toContain('a-secret')
  })

  it('gives the gateway its keys, in files that it can read when it is root no more', async () => {
    const api_keys = [{ created_ms: 1, digest: 'aa'.repeat(32), name: 'laptop' }]
    give({ 'sealed-deployment': { ...OPERATOR, api_keys } })
    await run()
    expect(parseApiKeys(await read('keys.json')).keys).toEqual(api_keys)
    expect(parseDeployment(await read('sealed.json')).api_keys).toBe(join(out(), 'keys.json'))
    for (const name of await written())
      expect((await stat(join(out(), name))).mode & 0o777, name).toBe(0o644)
    expect((await stat(out())).mode & 0o777).toBe(0o755)
  })

  it('may be run again in the same boot, and measures nothing twice', async () => {
    await run()
    const before = [tpm.pcrs.get(PCR), String(await read('sealed.json'))]
    await run()
    expect([tpm.pcrs.get(PCR), String(await read('sealed.json'))]).toEqual(before)
  })

  it.each([
    ['before anything is measured', 1],
    ['between record and separator', 2],
  ])('that is cut short %s goes on where it was', async (_, failAt) => {
    tpm.failAt = failAt
    await expect(run()).rejects.toThrow(expect.objectContaining({ code: 'tpm.failed' }))
    expect(await written()).toEqual([])
    tpm.failAt = Number.POSITIVE_INFINITY
    await run()
    expect(await isLaunchValue(tpm.pcrs.get(PCR)!, await record())).toBe(true)
  })

  it('ends with a separator, so that the record alone is not its value', async () => {
    await run()
    const [none, begun, closed] = await launchValues(await record())
    expect(none).toEqual(new Uint8Array(32))
    expect(tpm.pcrs.get(PCR)).not.toEqual(begun)
    expect(tpm.pcrs.get(PCR)).toEqual(closed)
  })
})

describe('a second launch in one boot', () => {
  it.each([
    ['command', { 'sealed-command': ['other'] }],
    ['environment', { 'sealed-env': { A: 'x' } }],
    ['deployment', { 'sealed-deployment': { ...OPERATOR, retention_days: 7 } }],
    ['spelling of it', { 'sealed-deployment': `${JSON.stringify(OPERATOR)} ` }],
    ['workload', { 'sealed-workload': { ...WORKLOAD, pids: 65 } }],
  ])('by another %s is refused, and leaves the first one’s files', async (_, change) => {
    images.image = {
      ...images.image,
      labels: { 'sealed.allow_command_override': 'true', 'sealed.allow_env_override': 'A' },
    }
    await run()
    const before = await Promise.all(
      (await written()).map(async (name) => String(await read(name))),
    )
    give(change)
    await expect(run()).rejects.toThrow(invalid(/PCR 13 holds another launch.*restart the machine/))
    const after = await Promise.all((await written()).map(async (name) => String(await read(name))))
    expect(after).toEqual(before)
  })

  it('is refused where somebody else has measured there', async () => {
    await tpm.extend(PCR, new Uint8Array(32).fill(7))
    const before = tpm.pcrs.get(PCR)
    await expect(run()).rejects.toThrow(invalid(/PCR 13 holds another launch/))
    expect(tpm.pcrs.get(PCR)).toEqual(before)
  })
})

describe('nothing is measured or written', () => {
  it('where a label forbids what is asked for', async () => {
    give({ 'sealed-command': ['sh'] })
    await refused(/sealed-command gives a command, .*sealed\.allow_command_override/)
  })

  it('where the labels do not allow the seal policy', async () => {
    images.image = { ...images.image, labels: { 'sealed.seal_policies': 'request' } }
    const epoch = { sessions: 2, max_ms: 60_000 }
    give({ 'sealed-workload': { ...WORKLOAD, seal_policy: 'epoch', epoch } })
    await refused(/seal_policy epoch, .*sealed\.seal_policies allows: request/)
  })

  it('where a label is not understood', async () => {
    images.image = { ...images.image, labels: { 'sealed.egres': 'none' } }
    await refused(/label sealed\.egres is not known/)
  })

  it('where the workload file would not be one', async () => {
    give({ 'sealed-workload': { ...WORKLOAD, port: 0 } })
    await refused(/attribute sealed-workload\.port/)
    give({ 'sealed-workload': { ...WORKLOAD, privileged: true } })
    await refused(/attribute sealed-workload\.privileged/)
  })

  it('where the engine has another image', async () => {
    images.image = { ...images.image, references: [REFERENCE.replace(MANIFEST, 'ac'.repeat(32))] }
    await refused(/the engine has another image/)
  })
})

describe('the token', () => {
  const asked = () => server.asked.some(({ path }) => path.endsWith('/token'))
  const foreign = `registry.example/demo@sha256:${MANIFEST}`

  it('is asked for where the image is Google’s, and logged nowhere', async () => {
    await run()
    expect(images.pulled[0]!.login?.password).toBe(TOKEN)
    expect(lines.join('')).not.toContain(TOKEN)
  })

  it('is not even asked for where it may not be sent', async () => {
    give({ 'sealed-image': foreign })
    images.image = { ...images.image, references: [foreign] }
    await run()
    expect(images.pulled).toEqual([{ reference: foreign, login: undefined }])
    expect(asked()).toBe(false)
  })

  it('goes to the registry named, and not where the image comes from another', async () => {
    const operator = { ...OPERATOR, registry: 'registry.example' }
    give({ 'sealed-image': foreign, 'sealed-deployment': operator })
    images.image = { ...images.image, references: [foreign] }
    await run()
    expect(images.pulled[0]!.login?.password).toBe(TOKEN)
    tpm = new FakeTpm()
    await rm(out(), { recursive: true })
    give({ 'sealed-image': foreign.replace('registry.', 'other.'), 'sealed-deployment': operator })
    await refused(/registry is registry\.example, and sealed-image comes from another/)
    expect(images.pulled.length).toBe(1)
  })
})

describe('a private authority', () => {
  const registry_ca = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n'
  const operator = { ...OPERATOR, registry: 'registry.example:5000', registry_ca }
  const reference = `registry.example:5000/demo@sha256:${MANIFEST}`
  beforeEach(() => {
    give({ 'sealed-image': reference, 'sealed-deployment': operator })
    images.image = { ...images.image, references: [reference] }
  })

  it('is put where the engine looks before the image is pulled, and into no file of ours', async () => {
    const certs = join(directory, 'certs.d')
    base = { ...BASE, registry_certs: certs }
    images.failure = new Error('not yet')
    await expect(run()).rejects.toThrow(/not yet/)
    expect(await readFile(join(certs, 'registry.example:5000', 'ca.crt'), 'utf8')).toBe(registry_ca)
    images.failure = undefined
    await run()
    expect(String(await read('sealed.json'))).not.toContain('registry')
  })

  it('is refused where the image has no place for it', () =>
    refused(/registry_certs in base\.json/))
})
