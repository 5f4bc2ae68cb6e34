import { describe, expect, test } from 'vitest'
import { linkAddresses } from './addresses.ts'
import type { Probe, ReplicaLink } from './link.ts'
import { chooseProbes, judge, nameservers } from './probe.ts'

const link = (replica: number): ReplicaLink => ({
  ...linkAddresses('beef', 7, replica),
  replica,
  generation: 1,
  workloadPort: 8000,
  relayPorts: [61000, 61999],
  embassyPort: 7100,
  egress: [],
})
const options = {
  resolvers: ['10.0.0.53'],
  targets: [{ address: '10.1.0.0/16', protocol: 'udp' as const, port: 9000 }],
  busybox: '/bin/busybox',
}
const still = { leaked: 0, rejected: 0 }

describe('the probes', () => {
  test('try every kind, and host, sibling, metadata server, resolver and what the operator named', () => {
    const probes = chooseProbes(link(0), [link(1), link(2)], options)
    expect(new Set(probes.map(({ kind }) => kind))).toEqual(
      new Set(['tcp', 'udp', 'dns', 'icmp', 'raw']),
    )
    const targets = new Set(probes.map(({ target }) => target))
    for (const target of [link(0).hostAddress4, link(0).hostAddress6, link(1).workloadAddress4])
      expect(targets).toContain(target)
    for (const target of ['169.254.169.254', '10.0.0.53', '10.1.0.0'])
      expect(targets).toContain(target)
    expect(targets).not.toContain(link(2).workloadAddress4)
  })

  test('do without a sibling when there is none', () => {
    expect(chooseProbes(link(0), [], options)).toHaveLength(11)
  })
})

describe('the judgement', () => {
  const probes: Probe[] = [
    { kind: 'tcp', target: '10.0.0.1', port: 1 },
    { kind: 'icmp', target: '10.0.0.1' },
  ]
  const results = (...of: Parameters<typeof judge>) =>
    judge(...of).results.map(({ result }) => result)

  test('is blocked for silence and for refusals that the firewall counted', () => {
    const report = judge(probes, ['refused', 'silent'], still, { leaked: 0, rejected: 1 }, 12)
    expect(report).toMatchObject({ blocked: 3, reached: 0, took_ms: 12 })
  })

  test('is reached for an answer', () => {
    const after = { leaked: 0, rejected: 1 }
    expect(results(probes, ['refused', 'answered'], still, after, 1)).toEqual([
      'blocked',
      'reached',
      'blocked',
    ])
  })

  test('is reached for a reset that the firewall knows nothing of', () => {
    expect(results(probes, ['refused', 'silent'], still, still, 1)).toEqual([
      'reached',
      'blocked',
      'blocked',
    ])
  })

  test('is reached when the second gate had to stop something', () => {
    const after = { leaked: 1, rejected: 1 }
    expect(results(probes, ['refused', 'silent'], still, after, 1)).toEqual([
      'blocked',
      'blocked',
      'reached',
    ])
  })
})

test('name servers are read from resolv.conf, without those that need an interface', () => {
  const text =
    '# nameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:1\nnameserver fe80::1%eth0\nnameserver fe80::2\nnameserver fd00::53\n'
  expect(nameservers(text)).toEqual(['10.0.0.2', 'fd00::53'])
})
