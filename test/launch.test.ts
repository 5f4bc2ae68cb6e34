// A machine whose workload is chosen at its start, whole: attributes over HTTP from what stands for GCE's metadata server,
// the image by digest from a registry that asks for the instance's token, through the real engine; the real firewall, a
// software TPM, and a client that verifies. Mutants tried: PCR 13 not looked at by the verifier; the launch without its
// separator; the record left out of the document; the token sent to every registry; no look at an image's labels.
import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isLaunchValue, LAUNCH_PCR, pcrMap, verifyDocument } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  instanceOf,
  type MetadataServer,
  startMetadataServer,
} from '../embassy/src/test-support/metadata-server.ts'
import { buildImage } from '../scripts/instance/images.ts'
import { type Paths, pathsOf } from '../scripts/instance/paths.ts'
import { imageSpec } from '../workloads/image/images.ts'
import { statementOf, World } from './support/instance.ts'
import { launchBy, launchOf, NOOP, runLaunch, writeBase } from './support/launched.ts'
import { type Registry, startRegistry } from './support/registry.ts'

const TOKEN = 'ya29.a-token-of-the-service-account'
const LOGIN = { username: 'oauth2accesstoken', password: TOKEN }
const LABELS = {
  'sealed.allow_env_override': 'LOG_LEVEL',
  'sealed.seal_policies': 'request',
  made: randomUUID(),
}

let registry: Registry
let metadata: MetadataServer
beforeAll(async () => {
  registry = await startRegistry({
    image: { ...imageSpec('noop'), labels: LABELS },
    login: LOGIN,
  })
  metadata = await startMetadataServer(instanceOf(attributes(), TOKEN))
})
afterAll(async () => {
  await metadata?.stop()
  await registry?.stop()
})

/** What launches, with some replaced; an object stands for its JSON, undefined for none. */
function attributes(change: Record<string, unknown> = {}): Record<string, string> {
  const all: Record<string, unknown> = {
    'sealed-deployment': {
      authorities: [],
      metering: 'required',
      registry: registry.host,
      version: 1,
    },
    'sealed-env': { LOG_LEVEL: 'info' },
    'sealed-image': registry.reference,
    'sealed-workload': NOOP,
    'enable-oslogin': 'TRUE',
    ...change,
  }
  return Object.fromEntries(
    Object.entries(all)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  )
}

describe('a launched machine', () => {
  let world: World
  beforeAll(async () => {
    metadata.answer = instanceOf(attributes(), TOKEN)
    world = await World.start({ workload: 'noop', launch: launchBy(metadata.url) })
  })
  afterAll(() => world?.close())

  test('answers, sealed, and a stranger verifies what it was launched from', async () => {
    const answer = await world.ask('What is a horse?')
    expect(answer.status).toBe(200)
    expect(answer.verdict.outcome).toBe('verified')
    const check = answer.verdict.checks.find(({ id }) => id === 'document.pcr_launch')
    expect(check).toMatchObject({ required: true, result: 'pass' })
    expect(check!.reason).toContain(registry.reference)
    expect(statementOf(answer.receipt!, 'seal.enforced').image).toBe(registry.config)
  })

  test('tells of image, labels and attributes, measured into PCR 13 and nothing after it', async () => {
    const { document } = world.attested
    const launch = await launchOf(world.instance.paths)
    expect(document.launch).toEqual(launch)
    expect(launch).toMatchObject({
      attributes: ['sealed-deployment', 'sealed-env', 'sealed-image', 'sealed-workload'].map(
        (name) => ({ name }),
      ),
      image: { config: registry.config, reference: registry.reference },
      labels: [
        { name: 'sealed.allow_env_override', value: 'LOG_LEVEL' },
        { name: 'sealed.seal_policies', value: 'request' },
      ],
    })
    expect(document.configuration.workloads[0]).toMatchObject({
      digest: launch.workload,
      image: registry.config,
    })
    expect(await isLaunchValue(pcrMap(document).get(LAUNCH_PCR)!, launch)).toBe(true)
  })

  test('cannot be shown as one that was not launched, or was from elsewhere', async () => {
    const policy = await world.policy()
    const failed = async (change: (document: typeof world.attested.document) => void) => {
      const document = structuredClone(world.attested.document)
      change(document)
      const { checks } = await verifyDocument({ document }, policy)
      return checks.filter(({ result }) => result === 'fail').map(({ id }) => id)
    }
    expect(await failed(() => {})).toEqual([])
    expect(await failed((document) => void delete document.launch)).toEqual(['document.pcr_launch'])
    const other = registry.reference.replace(/^[^/]+/, 'gcr.io')
    const elsewhere = ({ launch }: typeof world.attested.document) => {
      launch!.image.reference = other
    }
    expect(await failed(elsewhere)).toEqual(['document.pcr_launch'])
  })

  test('was given its image for the instance’s token, which went to that registry alone', () => {
    const login = `Basic ${Buffer.from(`oauth2accesstoken:${TOKEN}`).toString('base64')}`
    const logins = registry.seen.filter(({ authorization }) => authorization?.startsWith('Basic'))
    expect(logins.length).toBeGreaterThan(0)
    for (const { authorization, path } of logins)
      expect([path, authorization]).toEqual(['/token', login])
  })
})

describe('a machine is not launched', () => {
  let directory: string
  let paths: Paths
  let base: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sealed-launch-'))
    paths = pathsOf(directory)
    const pause = await buildImage('pause', paths.images)
    // There is no TPM: whoever comes so far as to measure fails otherwise than is expected here.
    const tpm = { chainPath: '/none', eventLogPath: '/none', socketPath: '/none' }
    base = await writeBase(paths, { pause, tpm })
  })
  afterAll(() => rm(directory, { recursive: true }))

  const out = () => join(directory, 'out')
  async function refused(code: string, reason: RegExp) {
    registry.seen.length = 0
    metadata.asked.length = 0
    const ended = await runLaunch(base, out(), metadata.url)
    expect(ended.code).toBe(1)
    expect(ended.lines.at(-1)).toMatchObject({ message: 'not launched', process: 'launch', code })
    expect(ended.lines.at(-1)!.reason).toMatch(reason)
    expect(JSON.stringify(ended.lines)).not.toContain(TOKEN)
    expect(await readdir(out()).catch(() => [])).toEqual([])
  }
  const give = (change: Record<string, unknown>) => {
    metadata.answer = instanceOf(attributes(change), TOKEN)
  }

  /** Of an image that the engine has never had: what it has by its digest it does not ask for again. */
  async function atFreshRegistry(work: (fresh: Registry) => Promise<void>) {
    const image = { ...imageSpec('noop'), labels: { made: randomUUID() } }
    const fresh = await startRegistry({ image, login: LOGIN })
    try {
      await work(fresh)
    } finally {
      await fresh.stop()
    }
  }

  test('where the registry serves another manifest under that digest', () =>
    atFreshRegistry(async (fresh) => {
      const operator = { authorities: [], metering: 'required', registry: fresh.host, version: 1 }
      give({ 'sealed-image': fresh.reference, 'sealed-deployment': operator })
      fresh.lie = Buffer.from('{"schemaVersion":2}')
      await refused('launch.unavailable', /is not pulled: .*(?:verif|digest)/)
    }))

  test('where the registry does not have that digest', async () => {
    give({ 'sealed-image': registry.reference.replace(/[0-9a-f]{64}$/, 'ab'.repeat(32)) })
    await refused('launch.unavailable', /is not pulled: /)
  })

  test('where a tag stands in place of a digest, and nobody is asked for it', async () => {
    give({ 'sealed-image': `${registry.host}/models/demo:latest` })
    await refused('config.invalid', /attribute sealed-image: must be .*without a tag/)
    expect(registry.seen).toEqual([])
  })

  test('where an attribute of ours is not known', async () => {
    give({ 'sealed-comand': '["sh"]' })
    await refused('config.invalid', /attribute sealed-comand is not known/)
  })

  test.each([
    [
      'a variable',
      { 'sealed-env': { LD_PRELOAD: 'x' } },
      /sealed-env sets LD_PRELOAD, .*allows: LOG_LEVEL/,
    ],
    [
      'a command',
      { 'sealed-command': ['/bin/sh'] },
      /sealed-command gives a command, .*sealed\.allow_command_override/,
    ],
    [
      'a seal policy',
      {
        'sealed-workload': {
          ...NOOP,
          seal_policy: 'epoch',
          epoch: { sessions: 2, max_ms: 60_000 },
        },
      },
      /seal_policy epoch, .*sealed\.seal_policies allows: request/,
    ],
    [
      'egress',
      {
        'sealed-workload': {
          ...NOOP,
          egress: [{ address: '0.0.0.0/0', port: 443, protocol: 'tcp' }],
        },
      },
      /egress tcp\/443\/0\.0\.0\.0\/0, .*allows: none/,
    ],
  ])('where the image’s labels forbid %s', async (_, change, reason) => {
    give(change)
    await refused('config.invalid', reason)
  })

  test('with a token where its registry is not named: none is asked for, none is sent', () =>
    atFreshRegistry(async (fresh) => {
      const operator = { authorities: [], metering: 'required', version: 1 }
      give({ 'sealed-image': fresh.reference, 'sealed-deployment': operator })
      await refused('launch.unavailable', /no token was sent/)
      expect(fresh.seen.length).toBeGreaterThan(0)
      for (const { authorization } of fresh.seen) expect(authorization).toBeUndefined()
      // Its attributes, and then how it went.
      expect(metadata.asked.map(({ path }) => path.split('/').at(-1))).not.toContain('token')
      expect(metadata.asked).toHaveLength(2)
    }))

  test('by who is not GCE’s metadata server', async () => {
    metadata.answer = (_, response) => void response.end(JSON.stringify(attributes()))
    await refused('config.invalid', /something else than GCE/)
    expect(registry.seen).toEqual([])
  })
})
