// The files that an operator writes: what stands in them, what is filled in, and that nothing else gets by.
import { describe, expect, it } from 'vitest'
import { utf8 } from './bytes.ts'
import { parseDeployment, parseWorkload } from './config.ts'

const digest = 'ab'.repeat(32)
const invalid = expect.objectContaining({ code: 'config.invalid' })

const WORKLOAD = {
  activations: 'safetensors',
  egress: [{ address: '192.0.2.0/24', port: 443, protocol: 'tcp' }],
  endpoints: ['/v1/chat/completions', '/v1/completions'],
  env: [{ name: 'MODE', value: 'fast' }],
  image: digest,
  memory_bytes: 16 * 1024 * 1024,
  models: ['demo-1'],
  name: 'demo',
  pids: 64,
  port: 8000,
  prefix_cache: 'off',
  seal_policy: 'request',
  version: 1,
}
const DEPLOYMENT = {
  authorities: [{ id: 'cd'.repeat(16), name: 'institute', public_key: 'A'.repeat(43) }],
  gateway: { host: '127.0.0.1', port: 0, tls: { mode: 'off' } },
  id: '00a1',
  metering: 'required',
  pause: { archive: 'pause.tar', image: digest },
  probes: { interval_ms: 60_000, targets: [] },
  runtime_dir: '/run/sealed/00a1',
  state_dir: '/var/lib/sealed/00a1',
  tpm: { chain: 'chain.pem', path: '/dev/tpmrm0' },
  version: 1,
  workloads: [{ archive: 'demo.tar', file: 'workload.json', replicas: 1 }],
}
const workload = (change: Record<string, unknown> = {}) =>
  parseWorkload(utf8(JSON.stringify({ ...WORKLOAD, ...change })))
const deployment = (change: Record<string, unknown> = {}) =>
  parseDeployment(utf8(JSON.stringify({ ...DEPLOYMENT, ...change })))

/** Every path to an object in a value: where an unknown member could stand. */
function* objects(value: unknown, path: string[] = []): Generator<string[]> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield path
  for (const [name, inner] of Object.entries(value)) yield* objects(inner, [...path, name])
}
function edited(
  value: object,
  path: string[],
  edit: (at: Record<string, unknown>) => void,
): string {
  const copy = structuredClone(value) as Record<string, unknown>
  edit(path.reduce((at, name) => at[name] as Record<string, unknown>, copy))
  return JSON.stringify(copy)
}

describe.each([
  ['workload.json', WORKLOAD, parseWorkload],
  ['sealed.json', DEPLOYMENT, parseDeployment],
] as const)('%s', (_file, valid, parse) => {
  it('is taken as it stands, white space and all', () => {
    expect(parse(utf8(JSON.stringify(valid, null, 2)))).toMatchObject(valid)
  })

  it('has no unknown member anywhere', () => {
    for (const path of objects(valid)) {
      const text = edited(valid, path, (at) => (at.unknown = 1))
      expect(() => parse(utf8(text)), path.join('.')).toThrow(invalid)
    }
  })

  it('has every member', () => {
    for (const path of objects(valid)) {
      const at = path.reduce(
        (o, name) => o[name] as Record<string, unknown>,
        valid as Record<string, unknown>,
      )
      for (const member of Object.keys(at)) {
        const text = edited(valid, path, (o) => delete o[member])
        expect(() => parse(utf8(text)), [...path, member].join('.')).toThrow(invalid)
      }
    }
  })

  it('has no member twice, no comment, no float', () => {
    const text = JSON.stringify(valid)
    for (const other of [
      text.replace('{', '{"version":1,'),
      `${text} // note`,
      text.replace('"version":1', '"version":1.0'),
      text.replace('"version":1', '"version":1e0'),
      text.slice(0, -1),
      '',
    ])
      expect(() => parse(utf8(other))).toThrow(expect.objectContaining({ code: 'json.invalid' }))
    expect(() => parse(Uint8Array.of(0xff))).toThrow(
      expect.objectContaining({ code: 'encoding.invalid' }),
    )
  })

  it('is of version 1', () => {
    for (const version of [0, 2, '1'])
      expect(() => parse(utf8(JSON.stringify({ ...valid, version })))).toThrow(invalid)
  })
})

describe('workload.json', () => {
  it.each([
    ['activations', ['yes', null]],
    [
      'egress',
      [
        [{ address: 'example.org', port: 443, protocol: 'tcp' }],
        Array(65).fill(WORKLOAD.egress[0]),
      ],
    ],
    ['endpoints', [[], ['v1'], ['/V1'], ['/a?b'], Array(17).fill('/a')]],
    [
      'env',
      [[{ name: 'mode', value: '' }], [{ name: 'A=B', value: '' }], [{ name: '', value: '' }]],
    ],
    ['image', ['latest', digest.toUpperCase(), digest.slice(1)]],
    ['memory_bytes', [0, 16 * 1024 * 1024 - 1, '16777216']],
    ['models', [[], [1]]],
    ['name', ['', 'Demo', '.demo', 'a/b', 'a'.repeat(65)]],
    ['pids', [3, 65_537]],
    ['port', [0, 65_536, '80']],
    ['prefix_cache', ['on']],
    ['protocol', ['', 'http']],
    ['command', [[], 'serve', Array(65).fill('a'), ['a'.repeat(4_097)], [1]]],
    ['gpus', [[], ['all'], ['0'], ['GPU-'], ['GPU-a b'], Array(17).fill('GPU-1')]],
    ['runtime', ['', 'kata', 'runsc-kvm']],
    ['shm_bytes', [0, 1024 * 1024 - 1, 64 * 1024 ** 3 + 1, '1048576']],
    ['tmp_bytes', [0, 1024 * 1024 - 1, 64 * 1024 ** 3 + 1, null]],
    ['seal_policy', ['none', 'session']],
  ])('has a %s that is as specified', (member, values) => {
    for (const value of values) expect(() => workload({ [member]: value })).toThrow(invalid)
  })

  it.each(['epoch', 'permanent'])('has an epoch with seal policy %s, and not without', (policy) => {
    const epoch = { idle_ms: 50, max_ms: 1_000, sessions: 2 }
    const shared = { seal_policy: policy, epoch }
    expect(workload(shared)).toMatchObject(shared)
    expect(() => workload({ epoch })).toThrow(invalid)
    const { idle_ms: _, ...least } = epoch
    expect(workload({ ...shared, epoch: least }).epoch!.idle_ms).toBe(1_000)
    for (const given of [{}, { epoch: undefined }, { epoch: {} }])
      expect(() => workload({ seal_policy: policy, ...given })).toThrow(invalid)
    for (const wrong of [
      { max_ms: 999 },
      { max_ms: 86_400_001 },
      { idle_ms: 9 },
      { idle_ms: 86_400_001 },
      { sessions: 0 },
      { sessions: 257 },
      { more: 1 },
    ])
      expect(() => workload({ ...shared, epoch: { ...epoch, ...wrong } })).toThrow(invalid)
  })

  it('has room for the sandbox beside its own threads where gVisor runs it', () => {
    for (const runtime of ['runc', 'runsc'])
      expect(workload({ runtime, pids: 128 }).runtime).toBe(runtime)
    expect(() => workload({ runtime: 'runsc', pids: 127 })).toThrow(/pids must be at least 128/)
  })

  it.each([0, 65_536, -1])('has no egress to port %i', (port) => {
    const rule = { ...WORKLOAD.egress[0], port }
    expect(() => workload({ egress: [rule] })).toThrow(invalid)
    expect(() => workload({ egress: [{ ...rule, port: 1, protocol: 'icmp' }] })).toThrow(invalid)
  })

  it.each([
    '192.0.2.1',
    '0.0.0.0/0',
    '10.0.0.0/8',
    '2001:db8::1',
    '::/0',
    '::ffff:192.0.2.1',
    'fe80::/64',
  ])('may let out to %s', (address) => {
    const rule = { address, port: 443, protocol: 'tcp' }
    expect(workload({ egress: [rule] }).egress).toEqual([rule])
  })

  it.each([
    'dead.be',
    'cafe',
    '192.0.2',
    '192.0.2.256',
    '192.0.2.01',
    '192.0.2.1.1',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/08',
    '2001:db8:::1',
    '2001:db8::/129',
    '1:2:3:4:5:6:7',
    '::1::',
    '..',
    ':',
    '',
    '192.0.2.1 ',
    '@blocked',
  ])('has no destination %j', (address) => {
    const egress = [{ address, port: 443, protocol: 'tcp' }]
    expect(() => workload({ egress })).toThrow(invalid)
  })

  it('names the member at fault', () => {
    expect(() => workload({ port: 0 })).toThrow(expect.objectContaining({ param: 'port' }))
    const egress = [{ address: '192.0.2.1', port: 0, protocol: 'udp' }]
    expect(() => workload({ egress })).toThrow(expect.objectContaining({ param: 'egress.0.port' }))
  })
})

describe('sealed.json', () => {
  it('may name the event log of its boot', () => {
    const tpm = { ...DEPLOYMENT.tpm, event_log: '/sys/kernel/security/tpm0/log' }
    expect(deployment({ tpm }).tpm).toEqual(tpm)
  })

  it('has limits, each with a default', () => {
    const defaults = {
      activations_ms: 2_000,
      body_bytes: 1024 * 1024,
      caller_sessions: 65,
      disk_free_bytes: 256 * 1024 * 1024,
      listen_ms: 60_000,
      output_bytes: 16 * 1024 * 1024,
      queue: 64,
      queue_ms: 60_000,
      requests_per_minute: 600,
      workload_ms: 120_000,
    }
    expect(deployment().limits).toEqual(defaults)
    expect(deployment({ limits: {} }).limits).toEqual(defaults)
    expect(deployment({ limits: { queue: 0 } }).limits).toEqual({ ...defaults, queue: 0 })
    for (const limits of [
      null,
      { queue: -1 },
      { queue_ms: 0 },
      { body_bytes: '1' },
      { body_bytes: 2 ** 30 + 1 },
      { other: 1 },
    ])
      expect(() => deployment({ limits })).toThrow(invalid)
  })

  it('may ask for API keys', () => {
    expect(deployment().api_keys).toBeUndefined()
    const api_keys = '/etc/sealed/keys.json'
    expect(deployment({ api_keys }).api_keys).toBe(api_keys)
  })

  it('may let web pages in, by origins as browsers write them', () => {
    const gateway = (cors_origins: unknown) => ({ ...DEPLOYMENT.gateway, cors_origins })
    const origins = ['https://app.example', 'http://localhost:3000', 'https://[::1]:8443']
    expect(deployment({ gateway: gateway(origins) }).gateway.cors_origins).toEqual(origins)
    for (const origin of [
      '*',
      'null',
      'app.example',
      'https://app.example/',
      'https://App.example',
      'https://app.example:443',
      'https://*.example',
      'https://user@app.example',
      'file:///tmp',
      '',
    ])
      expect(() => deployment({ gateway: gateway([origin]) }), origin).toThrow(invalid)
    expect(() => deployment({ gateway: gateway('https://app.example') })).toThrow(invalid)
  })

  it.each([{ directory: '/tsm' }, { directory: '/tsm', event_log: '/CCEL' }])(
    'may ask the processor for a report: %j',
    (tee) => {
      expect(deployment().tee).toBeUndefined()
      expect(deployment({ tee }).tee).toEqual(tee)
    },
  )

  it.each([
    ['api_keys', ['', 'keys.json', null, [], [{ digest, name: 'app' }]]],
    ['authorities', [[{ id: 'cd', name: 'x', public_key: 'A'.repeat(43) }]]],
    ['docker_socket', ['', 'docker.sock', 'unix:///run/docker.sock', null]],
    ['id', ['00A1', '0', '00a1b', '../x']],
    ['metering', ['off', true]],
    ['probes', [{ interval_ms: 999, targets: [] }]],
    ['runtime_dir', ['']],
    ['state_dir', ['', 1]],
    [
      'tee',
      [
        null,
        {},
        { directory: '' },
        { directory: '/a', event_log: '' },
        { directory: '/a', kind: 'tdx' },
      ],
    ],
    [
      'tpm',
      [
        { chain: 'a', event_log: '', path: 'b' },
        { chain: 'a', event_log: null, path: 'b' },
      ],
    ],
    [
      'workloads',
      [[], [{ archive: 'a', file: 'b', replicas: 0 }], [{ archive: 'a', file: 'b', replicas: 17 }]],
    ],
  ])('has %s as specified', (member, values) => {
    for (const value of values) expect(() => deployment({ [member]: value })).toThrow(invalid)
  })
})

describe('a machine that cannot seal', () => {
  const { pause, tpm, ...rest } = DEPLOYMENT
  const parse = (change: Record<string, unknown>) =>
    parseDeployment(utf8(JSON.stringify({ ...rest, ...change })))

  it.each(['system', 'privileges', 'software'])('says that it is for want of %s', (unsealed) => {
    expect(parse({ unsealed }).unsealed).toBe(unsealed)
  })

  it('has nothing of one that seals, and one that seals has it all', () => {
    const tee = { directory: '/sys/kernel/config/tsm/report' }
    const engine = { docker_socket: '/run/docker.sock' }
    for (const given of [{ pause }, { tpm }, { pause, tpm }, { tee }, { pause, tpm, tee }, engine])
      expect(() => parse({ unsealed: 'privileges', ...given })).toThrow(invalid)
    for (const given of [{}, { pause }, { tpm }, { tee }])
      expect(() => parse(given)).toThrow(invalid)
  })

  it('gives one of the reasons that there are', () => {
    for (const unsealed of ['', 'absent', true, null, 'haste'])
      expect(() => parse({ unsealed })).toThrow(invalid)
  })
})

describe('a machine that is launched', () => {
  const file = 'workload.json'
  const [pulled, carried] = [
    { file, replicas: 1 },
    { archive: 'demo.tar', file, replicas: 1 },
  ]
  const launch = '/run/sealed-config/launch.json'

  it('has one workload, whose image was pulled', () => {
    expect(deployment({ launch, workloads: [pulled] }).launch).toBe(launch)
    for (const workloads of [[carried], [pulled, pulled], [pulled, carried]])
      expect(() => deployment({ launch, workloads })).toThrow(invalid)
  })

  it('is the only one to go without an archive, and one that seals', () => {
    expect(() => deployment({ workloads: [pulled] })).toThrow(invalid)
    const { pause: _, tpm: __, ...rest } = DEPLOYMENT
    const unsealed = { ...rest, unsealed: 'software', launch, workloads: [pulled] }
    expect(() => parseDeployment(utf8(JSON.stringify(unsealed)))).toThrow(invalid)
  })
})
