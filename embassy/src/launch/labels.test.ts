// What an image's maker lets an operator decide. Mutants tried: each rule's default dropped; each rule answering that all
// is allowed; unknown labels ignored; forms not anchored; a volume judged by its path where the label names its root hash.
import type { Workload } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { WORKLOAD } from '../test-support/launch-world.ts'
import { type Asked, limitingLabels, refuseExcess } from './labels.ts'

const PLAIN = { ...WORKLOAD, env: [], image: 'cd'.repeat(32) } as unknown as Workload
const RULE = { address: '192.0.2.0/24', port: 443, protocol: 'tcp' } as const
const SIX = { address: '2001:db8::1', port: 53, protocol: 'udp' } as const

const ROOT = 'ab'.repeat(32)
const VOLUME = { path: '/models', root_hash: ROOT }
const OTHER = { path: '/x', root_hash: 'cd'.repeat(32) }

const asked = (workload: Partial<Workload> = {}, more: Partial<Asked> = {}): Asked => ({
  workload: { ...PLAIN, ...workload } as Workload,
  metering: 'required',
  replicas: 1,
  ...more,
})
const judge = (labels: Record<string, string>, what: Asked) => () =>
  refuseExcess(limitingLabels(labels), what)
const variable = (name: string) => ({ env: [{ name, value: 'x' }] })

describe('an image without labels', () => {
  it('runs as it is', () => expect(judge({}, asked())).not.toThrow())

  it.each([
    [
      'command',
      asked({ command: ['sh'] }),
      /sealed-command .*sealed\.allow_command_override is not set, which allows: false/,
    ],
    [
      'variable',
      asked(variable('HF_TOKEN')),
      /sealed-env sets HF_TOKEN, .*allow_env_override is not set, which allows: none/,
    ],
    [
      'egress',
      asked({ egress: [RULE] }),
      /sealed-workload has egress tcp\/443\/192\.0\.2\.0\/24, .*sealed\.egress is not set, which allows: none/,
    ],
    [
      'weights volume',
      asked({ weights: [VOLUME] }),
      /sealed-workload has weights \/models=abab.*sealed\.weights is not set, which allows: none/,
    ],
    [
      'unmetered use',
      asked({}, { metering: 'optional' }),
      /sealed-deployment has metering optional, .*sealed\.metering is not set, which allows: required/,
    ],
  ])('is given no %s', (_, what, message) => {
    expect(judge({}, what)).toThrow(
      expect.objectContaining({ code: 'config.invalid', message: expect.stringMatching(message) }),
    )
  })

  it('leaves to users’ policies what they judge', () => {
    const workload = { seal_policy: 'epoch', activations: 'none' } as const
    expect(judge({}, asked(workload, { replicas: 16 }))).not.toThrow()
  })
})

describe('a label', () => {
  it.each([
    ['allow_command_override', 'true', asked({ command: ['serve'] }), 'false'],
    ['allow_env_override', 'A,LOG_LEVEL', asked(variable('LOG_LEVEL')), 'A,LOG_LEVELS,LOG'],
    [
      'egress',
      'udp/53/2001:db8::1,tcp/443/192.0.2.0/24',
      asked({ egress: [RULE, SIX] }),
      'tcp/443/192.0.2.0/24',
    ],
    ['egress', 'tcp/443/192.0.2.0/24', asked({ egress: [RULE] }), 'tcp/443/192.0.2.0/25'],
    ['metering', 'optional', asked({}, { metering: 'optional' }), 'required'],
    ['activations', 'safetensors', asked(), 'none'],
    ['seal_policies', 'epoch,request', asked(), 'epoch,permanent'],
    ['max_replicas', '4', asked({}, { replicas: 4 }), '3'],
    ['weights', '/x,/models', asked({ weights: [VOLUME] }), '/model,/models/x'],
    ['weights', `/models=${ROOT}`, asked({ weights: [VOLUME] }), `/models=${'ac'.repeat(32)}`],
    ['weights', '/models,/x', asked({ weights: [VOLUME, OTHER] }), `/models,/y,/x=${ROOT}`],
  ])('sealed.%s allows %s and no more', (name, wide, what, narrow) => {
    expect(judge({ [`sealed.${name}`]: wide }, what)).not.toThrow()
    expect(judge({ [`sealed.${name}`]: narrow }, what)).toThrow(
      expect.objectContaining({
        code: 'config.invalid',
        message: expect.stringContaining(`sealed.${name} allows: ${narrow}`),
      }),
    )
  })

  it('of ours that is not known is refused, others are nobody’s', () => {
    for (const name of [
      'sealed.allow_cmd_override',
      'sealed.',
      'sealed.constructor',
      'sealed.Egress',
    ])
      expect(() => limitingLabels({ [name]: 'true' })).toThrow(`label ${name} is not known`)
    expect(
      limitingLabels({
        'org.opencontainers.image.title': 'x',
        sealed: 'x',
        'unsealed.egress': 'x',
      }),
    ).toEqual([])
  })

  it.each([
    ['allow_command_override', 'yes'],
    ['allow_command_override', 'true\n'],
    ['allow_command_override', ''],
    ['allow_env_override', 'A, B'],
    ['allow_env_override', 'none,A'],
    ['allow_env_override', '*'],
    ['egress', 'tcp/443/example.org'],
    ['egress', 'any'],
    ['egress', 'icmp/1/192.0.2.1'],
    ['metering', 'off'],
    ['activations', 'all'],
    ['seal_policies', 'none'],
    ['seal_policies', ''],
    ['max_replicas', '0'],
    ['max_replicas', '17'],
    ['weights', ''],
    ['weights', 'models'],
    ['weights', '/models='],
    ['weights', '/models=ab'],
    ['weights', '/models,none'],
    ['weights', '*'],
    ['weights', `=${ROOT}`],
  ])('sealed.%s that says %j is refused', (name, value) => {
    expect(() => limitingLabels({ [`sealed.${name}`]: value })).toThrow(/not of its form/)
  })

  it('is kept for the record, in the order of names', () => {
    const labels = { 'sealed.metering': 'optional', other: 'x', 'sealed.egress': 'none' }
    expect(limitingLabels(labels)).toEqual([
      { name: 'sealed.egress', value: 'none' },
      { name: 'sealed.metering', value: 'optional' },
    ])
  })
})
