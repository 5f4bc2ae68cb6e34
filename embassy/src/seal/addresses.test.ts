import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { blockNetwork, blockOrder, canonicalAddress, linkAddresses, overlap } from './addresses.ts'

describe('a link', () => {
  test('has a device name that holds the instance id and fits the kernel', () => {
    const { device } = linkAddresses('beef', 7, 127)
    expect(device).toBe('slbeef-127')
    expect(device.length).toBeLessThanOrEqual(15)
  })

  test('has addresses that no other replica of the instance has', () => {
    const links = Array.from({ length: 128 }, (_, replica) => linkAddresses('00ff', 255, replica))
    const addresses = links.flatMap((link) => [
      ...[link.hostAddress4, link.workloadAddress4, link.hostAddress6, link.workloadAddress6],
      ...[link.hostMac, link.workloadMac],
    ])
    expect(new Set(addresses).size).toBe(addresses.length)
    for (const link of links) expect(overlap(link.workloadAddress4, blockNetwork(255))).toBe(true)
  })

  test('lies in a pair: its two ends differ in the last bit alone', () => {
    const link = linkAddresses('beef', 7, 3)
    expect(overlap(`${link.hostAddress4}/31`, link.workloadAddress4)).toBe(true)
    expect(overlap(`${link.hostAddress6}/127`, link.workloadAddress6)).toBe(true)
  })

  test('is looked for in every block, each instance beginning at its own', () => {
    expect(blockOrder('0203').slice(0, 2)).toEqual([3, 4])
    expect(new Set(blockOrder('ffff')).size).toBe(256)
  })
})

describe('an address', () => {
  test.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.1.2.3/32', '10.1.2.3'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['FD00:0:0::1', 'fd00::1'],
    ['fd00::ffff/64', 'fd00::/64'],
    ['::/0', '::/0'],
    ['2001:db8::1/128', '2001:db8::1'],
  ])('%s is written %s', (given, written) => {
    expect(canonicalAddress(given)).toBe(written)
  })

  test.each([
    '',
    '10.0.0',
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'fe80::1%eth0',
    'a.b',
    '::ffff:10.0.0.1',
    '::10.0.0.1',
    '10.0.0.1 }',
  ])('is refused: %j', (text) => {
    expect(() => canonicalAddress(text)).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    )
  })

  test('written canonically stays as it is, and means the same', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(128), (address, length) => {
        const v6 = address.includes(':')
        // IPv4 in IPv6's clothes begins with zeros, however they are spelt, and is refused.
        fc.pre(!v6 || !/^[0:]/.test(address))
        const block = `${address}/${v6 ? length : length % 33}`
        const once = canonicalAddress(block)
        expect(canonicalAddress(once)).toBe(once)
        expect(overlap(once, block)).toBe(true)
      }),
    )
  })
})

test('blocks overlap when one holds the other, and never across families', () => {
  expect(overlap('198.19.0.0/16', '198.19.7.0/24')).toBe(true)
  expect(overlap('198.19.7.0/24', '198.19.0.0/16')).toBe(true)
  expect(overlap('198.19.7.0/24', '198.19.8.0/24')).toBe(false)
  expect(overlap('0.0.0.0/0', '::/0')).toBe(false)
})
