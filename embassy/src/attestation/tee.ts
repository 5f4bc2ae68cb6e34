// Asks the processor for its report, once a boot, through the kernel's configfs-tsm (Documentation/ABI/testing/
// configfs-tsm-report): a directory is made, what the report shall carry is written, the report is read. The host
// limits how often it answers; it is asked again a few times, and no report is a failure, never a document without one.
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import {
  type Bytes,
  equal,
  fromUtf8,
  parseSnpReport,
  parseTdxQuote,
  SealedError,
  type TeeReport,
  toBase64url,
  unpaddedCcel,
  unpaddedTdxQuote,
} from '@sealed/protocol'
import { parseCertificateTable } from './certificate-table.ts'

export interface Tee {
  /** A report that carries these 64 bytes. Throws `tee.failed`. */
  report(reportData: Uint8Array): Promise<TeeReport>
}

/** What configfs is to us; a directory's attributes are there as soon as it is made. */
export interface TsmFiles {
  mkdir(path: string): Promise<void>
  read(path: string): Promise<Uint8Array>
  write(path: string, bytes: Uint8Array): Promise<void>
  rmdir(path: string): Promise<void>
}

export const nodeFiles: TsmFiles = {
  mkdir: async (path) => {
    await mkdir(path)
  },
  read: async (path) => new Uint8Array(await readFile(path)),
  write: (path, bytes) => writeFile(path, bytes),
  rmdir: (path) => rmdir(path),
}

export interface TsmOptions {
  /** `/sys/kernel/config/tsm/report`. */
  directory: string
  /** Name of the directory made in it: of this instance alone. */
  name: string
  /** The TD's event log, `/sys/firmware/acpi/tables/data/CCEL`. */
  eventLog?: string
  files?: TsmFiles
  sleep?: (ms: number) => Promise<unknown>
}

/** Attempts on a host that is busy, the wait before each next one growing by this much. */
const ATTEMPTS = 8
const WAIT_MS = 1_000
const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code
const failed = (message: string, cause?: unknown) =>
  new SealedError('tee.failed', message, cause === undefined ? {} : { cause })

export class ConfigfsTsm implements Tee {
  readonly #options: TsmOptions
  readonly #files: TsmFiles
  readonly #path: string

  constructor(options: TsmOptions) {
    this.#options = options
    this.#files = options.files ?? nodeFiles
    this.#path = join(options.directory, options.name)
  }

  async report(reportData: Uint8Array): Promise<TeeReport> {
    try {
      await this.#open()
      try {
        return await this.#collect(reportData)
      } finally {
        await this.#files.rmdir(this.#path)
      }
    } catch (error) {
      if (error instanceof SealedError && error.code === 'tee.failed') throw error
      const reason = error instanceof Error ? error.message : 'unknown failure'
      throw failed(`no report from ${this.#options.directory}: ${reason}`, error)
    }
  }

  /** Makes the directory anew: one that a dead embassy left may hold anything. */
  async #open(): Promise<void> {
    try {
      await this.#files.mkdir(this.#path)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
      await this.#files.rmdir(this.#path)
      await this.#files.mkdir(this.#path)
    }
  }

  async #collect(reportData: Uint8Array): Promise<TeeReport> {
    const before = await this.#generation()
    await this.#files.write(join(this.#path, 'inblob'), reportData)
    const provider = await this.#text('provider')
    const report = await this.#patiently('outblob')
    const record = await this.#record(provider, report)
    // The kernel counts writes: one more would mean that somebody else asked through our directory.
    if ((await this.#generation()) !== before + 1n)
      throw failed('the report is not of the one write that was made')
    if (!equal(carriedBy(record.kind, report), reportData))
      throw failed('the report carries something else than it was asked to')
    return record
  }

  async #record(provider: string, outblob: Bytes): Promise<TeeReport> {
    if (provider === 'sev_guest') {
      const certificates = parseCertificateTable(await this.#patiently('auxblob'))
      const der = certificates.map((certificate) => toBase64url(certificate))
      return { certificates: der, kind: 'sev-snp', report: toBase64url(outblob) }
    }
    if (provider !== 'tdx_guest') throw failed(`provider ${provider} is not known`)
    const { eventLog } = this.#options
    const log = eventLog === undefined ? undefined : await this.#files.read(eventLog)
    return {
      ...(log && { event_log: toBase64url(unpaddedCcel(log)) }),
      kind: 'tdx',
      report: toBase64url(unpaddedTdxQuote(outblob)),
    }
  }

  async #generation(): Promise<bigint> {
    const text = await this.#text('generation')
    if (!/^(?:0|[1-9][0-9]{0,19})$/.test(text)) throw failed('generation is not a number')
    return BigInt(text)
  }

  async #text(attribute: string): Promise<string> {
    return fromUtf8(await this.#files.read(join(this.#path, attribute))).trimEnd()
  }

  /** Reads an attribute that the host answers for. */
  async #patiently(attribute: string): Promise<Bytes> {
    const sleep = this.#options.sleep ?? wait
    for (let attempt = 1; ; attempt++) {
      try {
        return (await this.#files.read(join(this.#path, attribute))) as Bytes
      } catch (error) {
        if (codeOf(error) !== 'EBUSY') throw error
        if (attempt === ATTEMPTS) throw failed('the host answers no request for a report', error)
        await sleep(attempt * WAIT_MS)
      }
    }
  }
}

/** REPORT_DATA of a report as it came. */
export const carriedBy = (kind: TeeReport['kind'], report: Uint8Array): Bytes =>
  kind === 'sev-snp'
    ? parseSnpReport(report).reportData
    : parseTdxQuote(unpaddedTdxQuote(report)).body.reportData
