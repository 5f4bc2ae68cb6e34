import { describe, expect, test } from 'vitest'
import { linkAddresses } from './addresses.ts'
import type { ReplicaLink } from './link.ts'
import { canonical } from './listing.ts'
import { ruleset } from './ruleset.ts'

const link = (more: Partial<ReplicaLink> = {}): ReplicaLink => ({
  ...linkAddresses('beef', 7, 0),
  replica: 0,
  generation: 1,
  workloadPort: 8000,
  relayPorts: [61000, 61999],
  embassyPort: 7100,
  egress: [],
  ...more,
})
const text = (more: Partial<ReplicaLink> = {}, relayUid?: number): string =>
  ruleset(link(more), { id: 'beef', ...(relayUid !== undefined && { relayUid }) }).text

describe('the text', () => {
  test('drops by default on both ways of the link and at the gate', () => {
    expect(text().match(/policy drop/g)).toHaveLength(3)
  })

  test('begins closed', () => {
    expect(text()).toContain('\tset open {\n\t\ttype ifname\n\t}')
  })

  test('differs with whatever it lets pass', () => {
    const rule = { address: '10.0.0.1', protocol: 'tcp', port: 443 } as const
    const variants = [
      {},
      { workloadPort: 8001 },
      { embassyPort: 7101 },
      { relayPorts: [61000, 61001] as const },
      { egress: [rule] },
      { egress: [{ ...rule, port: 444 }] },
      { egress: [{ ...rule, protocol: 'udp' as const }] },
    ]
    const digests = variants.map((variant) => ruleset(link(variant), { id: 'beef' }).digest)
    expect(new Set(digests).size).toBe(variants.length)
    expect(text({}, 64103)).not.toBe(text())
  })

  test('names a listed destination only behind the set that sealing empties', () => {
    const whole = text({ egress: [{ address: '10.9.9.9', protocol: 'tcp', port: 443 }] })
    const chains = [...whole.matchAll(/chain (\w+) \{([^}]*10\.9\.9\.9[^}]*)\}/g)].map(
      ([, name]) => name,
    )
    expect(chains).toEqual(['listed_answers', 'listed', 'listed_answers'])
    expect(whole.match(/jump listed$/gm)).toHaveLength(2)
    for (const jump of whole.matchAll(/^(.*)jump listed$/gm)) expect(jump[1]).toContain('@open')
  })

  test('answers by a reset only what the workload sent as itself', () => {
    const gate = /chain gate \{([^}]*(?:\{[^}]*\}[^}]*)*)\}/.exec(text())?.[1] ?? ''
    expect(gate.indexOf('ip saddr !=')).toBeGreaterThan(0)
    expect(gate.indexOf('ip6 saddr !=')).toBeLessThan(gate.indexOf('reject'))
  })

  test('refuses what is no address, whatever it would mean to nft', () => {
    const egress = [{ address: '10.0.0.1 accept; #', protocol: 'tcp' as const, port: 1 }]
    expect(() => text({ egress })).toThrow(expect.objectContaining({ code: 'config.invalid' }))
  })
})

describe('a listing in text', () => {
  test('is equal to the text whatever was counted and whether it is open', () => {
    const counted = text()
      .replace(/packets 0 bytes 0/g, 'packets 7 bytes 99')
      .replace(/(set open \{\n\t\ttype ifname\n)/, '$1\t\telements = { "slbeef-0" }\n')
    expect(counted).not.toBe(text())
    expect(canonical(counted)).toBe(canonical(text()))
  })

  test('is equal to the text in the spelling of newer versions of nft', () => {
    const newer = text()
      .replaceAll('tcp flags != syn / syn,ack', 'tcp flags & (syn | ack) != syn')
      .replaceAll('tcp flags syn / syn,ack', 'tcp flags & (syn | ack) == syn')
      .replaceAll('tcp flags & rst == rst', 'tcp flags rst')
    expect(newer).not.toBe(text())
    expect(canonical(newer)).toBe(canonical(text()))
  })

  test('is not equal when one rule is gone, changed or moved', () => {
    const lines = text(
      { egress: [{ address: '10.0.0.1', protocol: 'udp', port: 53 }] },
      64103,
    ).split('\n')
    const rules = lines.flatMap((line, index) =>
      / (accept|drop|masquerade)$/.test(line) ? [index] : [],
    )
    expect(rules.length).toBeGreaterThan(20)
    const whole = canonical(lines.join('\n'))
    for (const index of rules) {
      expect(canonical(lines.toSpliced(index, 1).join('\n'))).not.toBe(whole)
      expect(canonical(lines.with(index, `${lines[index]} comment "x"`).join('\n'))).not.toBe(whole)
    }
  })
})
