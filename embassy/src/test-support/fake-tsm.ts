// A kernel with configfs-tsm, and a host behind it, in memory: a directory has its attributes as soon as it is made,
// writes are counted, a report is made when it is read. It can be told to be busy, to lie, and to be interfered with.
// Its reports have the form of true ones and nobody's signature.
import type { TsmFiles } from '../attestation/tee.ts'

const errno = (code: string) => Object.assign(new Error(code), { code })

export type Provider = 'sev_guest' | 'tdx_guest'

export class FakeTsm implements TsmFiles {
  readonly #directory: string
  readonly #provider: string
  readonly entries = new Map<string, { generation: number; inblob: Uint8Array }>()
  /** Files elsewhere. */
  readonly files = new Map<string, Uint8Array>()
  /** Reports made, and reads that find the host busy before one is. */
  reports = 0
  busy = 0
  auxblob: Uint8Array = certificateTable()
  /** What the host makes of the bytes asked for. */
  carry = (asked: Uint8Array): Uint8Array => asked
  /** Runs before an attribute is read. */
  onRead = (_attribute: string): void => {}

  constructor(directory: string, provider: Provider | string = 'sev_guest') {
    this.#directory = directory
    this.#provider = provider
  }

  async mkdir(path: string): Promise<void> {
    if (this.entries.has(this.#name(path))) throw errno('EEXIST')
    this.entries.set(this.#name(path), { generation: 0, inblob: new Uint8Array(0) })
  }

  async rmdir(path: string): Promise<void> {
    if (!this.entries.delete(this.#name(path))) throw errno('ENOENT')
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    const [entry, attribute] = this.#at(path)
    if (attribute !== 'inblob') throw errno('EACCES')
    if (bytes.length === 0 || bytes.length > 64) throw errno('EINVAL')
    entry.inblob = bytes
    entry.generation += 1
  }

  async read(path: string): Promise<Uint8Array> {
    const file = this.files.get(path)
    if (file) return file
    const [entry, attribute] = this.#at(path)
    this.onRead(attribute)
    if (attribute === 'generation') return Buffer.from(`${entry.generation}\n`)
    if (attribute === 'provider') return Buffer.from(`${this.#provider}\n`)
    const isReport = attribute === 'outblob'
    if (!isReport && (attribute !== 'auxblob' || this.#provider !== 'sev_guest'))
      throw errno('ENOENT')
    if (this.busy-- > 0) throw errno('EBUSY')
    if (!isReport) return this.auxblob
    this.reports += 1
    const carried = this.carry(entry.inblob)
    return this.#provider === 'sev_guest' ? snpReport(carried) : tdxBuffer(carried)
  }

  #at(path: string): [entry: { generation: number; inblob: Uint8Array }, attribute: string] {
    const slash = path.lastIndexOf('/')
    const entry = this.entries.get(this.#name(path.slice(0, slash)))
    if (!entry) throw errno('ENOENT')
    return [entry, path.slice(slash + 1)]
  }

  #name(path: string): string {
    const prefix = `${this.#directory}/`
    if (!path.startsWith(prefix) || path.slice(prefix.length).includes('/')) throw errno('ENOENT')
    return path.slice(prefix.length)
  }
}

export function snpReport(reportData: Uint8Array): Uint8Array {
  const report = new Uint8Array(1184)
  report[0] = 3
  report[0x0a] = 2
  report[0x34] = 1
  report.set(reportData, 0x50)
  report.set([0x19, 1, 1], 0x188)
  return report
}

/** A quote in a buffer that is longer than it. */
export function tdxBuffer(reportData: Uint8Array): Uint8Array {
  const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'.repeat(3)
  const certified = Buffer.alloc(384 + 64 + 2 + 6)
  certified.writeUInt16LE(5, 450)
  certified.writeUInt32LE(pem.length, 452)
  const start = Buffer.alloc(632)
  start.set([4, 0, 2, 0, 0x81])
  start.write('939a7233f79c4ca9940a0db3957f0607', 12, 'hex')
  start.set(reportData, 568)
  const signatures = Buffer.alloc(4 + 128 + 6)
  const size = certified.length + pem.length
  signatures.writeUInt32LE(134 + size, 0)
  signatures.writeUInt16LE(6, 132)
  signatures.writeUInt32LE(size, 134)
  return Buffer.concat([start, signatures, certified, Buffer.from(pem), Buffer.alloc(3000)])
}

export const GUID = {
  vcek: '63da758de6644564adc5f4b93be8accd',
  ask: '4ab7b379bbac4fe4a02f05aef327c782',
  ark: 'c0b406a4a803495297433fb6014cd0ae',
  firmware: '9f4116cdc5034f5a8f6ffb68882f4ce2',
}

/** A table as Google's host fills it: three certificates, an endorsement of the firmware, zeros to the page's end. */
export function certificateTable(
  entries: [guid: string, content: Uint8Array][] = [
    [GUID.vcek, Uint8Array.of(0x30, 1, 1)],
    [GUID.ask, Uint8Array.of(0x30, 1, 2)],
    [GUID.ark, Uint8Array.of(0x30, 1, 3)],
    [GUID.firmware, Uint8Array.of(1, 2, 3, 4)],
  ],
): Uint8Array {
  const table = Buffer.alloc(4096)
  let offset = 24 * (entries.length + 1)
  for (const [i, [guid, content]] of entries.entries()) {
    table.write(guid, 24 * i, 'hex')
    table.writeUInt32LE(offset, 24 * i + 16)
    table.writeUInt32LE(content.length, 24 * i + 20)
    table.set(content, offset)
    offset += content.length
  }
  return new Uint8Array(table)
}
