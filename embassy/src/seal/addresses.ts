// Which addresses a replica's link gets. Pure: who else uses an address is given as an argument.
//
// IPv4: 198.19.0.0/16, the half of the benchmark range (RFC 2544) that nothing else of ours uses, in blocks of 256:
// one block an instance, two addresses a replica. IPv6: a unique local network with the instance id in it.
import { isIP } from 'node:net'
import { SealedError } from '@sealed/protocol'

export interface LinkAddresses {
  readonly device: string
  readonly hostAddress4: string
  readonly hostAddress6: string
  readonly hostMac: string
  readonly workloadAddress4: string
  readonly workloadAddress6: string
  readonly workloadMac: string
}

export const BLOCKS = 256
/** Replicas of one instance are numbered below this. */
export const REPLICAS = 128

export const devicePrefix = (id: string): string => `sl${id}-`
export const blockNetwork = (block: number): string => `198.19.${block}.0/24`
/** The blocks in the order in which an instance tries them; its id decides where it begins. */
export const blockOrder = (id: string): number[] =>
  Array.from({ length: BLOCKS }, (_, step) => (Number.parseInt(id, 16) + step) % BLOCKS)

export function linkAddresses(id: string, block: number, replica: number): LinkAddresses {
  const low = replica * 2
  const at6 = (last: number) => `fd5e:a1ed:1:${id}::${(last + 2).toString(16)}`
  const octets = [id.slice(0, 2), id.slice(2), replica.toString(16).padStart(2, '0')].join(':')
  return {
    device: `${devicePrefix(id)}${replica}`,
    hostAddress4: `198.19.${block}.${low}`,
    hostAddress6: canonicalAddress(at6(low)),
    hostMac: `02:5e:${octets}:00`,
    workloadAddress4: `198.19.${block}.${low + 1}`,
    workloadAddress6: canonicalAddress(at6(low + 1)),
    workloadMac: `02:5e:${octets}:01`,
  }
}

/** An address or CIDR block as nft writes it; `config.invalid` when it is neither. */
export function canonicalAddress(text: string): string {
  const { version, value, prefix, bits } = parse(text)
  const shift = BigInt(bits - prefix)
  const network = (value >> shift) << shift
  const address = version === 4 ? write4(network) : write6(network)
  return prefix === bits ? address : `${address}/${prefix}`
}

/** Whether two addresses or CIDR blocks have an address in common. */
export function overlap(one: string, other: string): boolean {
  const [a, b] = [parse(one), parse(other)]
  if (a.version !== b.version) return false
  const shift = BigInt(a.bits - Math.min(a.prefix, b.prefix))
  return a.value >> shift === b.value >> shift
}

interface Block {
  readonly version: 4 | 6
  readonly value: bigint
  readonly prefix: number
  readonly bits: number
}

function parse(text: string): Block {
  const [address = '', length, ...more] = text.split('/')
  const version = isIP(address)
  const bits = version === 4 ? 32 : 128
  const prefix = length === undefined ? bits : Number(length)
  const sound = more.length === 0 && /^\d{1,3}$/.test(length ?? '0') && prefix <= bits
  if ((version !== 4 && version !== 6) || !sound || address.includes('%'))
    throw new SealedError('config.invalid', `${text} is no IP address or CIDR block`)
  const value = version === 4 ? read4(address) : read6(address)
  // No packet has such an address, and tools differ in how they write it.
  if (version === 6 && value >> 48n === 0n && value > 0xffffn)
    throw new SealedError('config.invalid', `${text} is IPv4 in IPv6's clothes; write it as IPv4`)
  return { version, value, prefix, bits }
}

const read4 = (address: string): bigint =>
  address.split('.').reduce((value, octet) => (value << 8n) | BigInt(octet), 0n)

const write4 = (value: bigint): string =>
  [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')

/** The URL parser writes IPv6 in the form of RFC 5952 and turns an embedded IPv4 address into hex. */
const compress = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1)

function read6(address: string): bigint {
  const [head = '', tail] = compress(address).split('::')
  const groups = (side: string) => side.split(':').filter(Boolean)
  const [first, last] = [groups(head), groups(tail ?? '')]
  const zeros = Array<string>(8 - first.length - last.length).fill('0')
  return [...first, ...zeros, ...last].reduce((v, group) => (v << 16n) | BigInt(`0x${group}`), 0n)
}

const write6 = (value: bigint): string =>
  compress(
    Array.from({ length: 8 }, (_, index) =>
      ((value >> BigInt(16 * (7 - index))) & 0xffffn).toString(16),
    ).join(':'),
  )
