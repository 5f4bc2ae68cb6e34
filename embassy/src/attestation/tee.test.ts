// The processor is asked once, through a directory of the embassy's own; a host that is busy is asked again, and
// whatever else goes wrong is a failure, after which nothing is left behind.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromBase64url, parseSnpReport, parseTdxQuote } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { FakeTsm, snpReport, tdxBuffer } from '../test-support/fake-tsm.ts'
import { ConfigfsTsm, nodeFiles, type TsmFiles } from './tee.ts'

const DIRECTORY = '/sys/kernel/config/tsm/report'
const DATA = new Uint8Array(64).map((_, i) => i + 1)
const failed = (message: string) =>
  expect.objectContaining({ code: 'tee.failed', message: expect.stringContaining(message) })

function collector(tsm: FakeTsm, eventLog?: string) {
  const waits: number[] = []
  const tee = new ConfigfsTsm({
    directory: DIRECTORY,
    name: 'sealed-00a1',
    ...(eventLog !== undefined && { eventLog }),
    files: tsm,
    sleep: async (ms) => {
      waits.push(ms)
    },
  })
  return { tee, waits }
}

/** A header, and no event. */
function ccel(padding: number): Uint8Array {
  const id = Buffer.from('Spec ID Event03\0\0\0\0\0\0\x02\0\x02\x01\0\0\0\x0c\0\x30\0\0', 'latin1')
  const head = Buffer.alloc(32)
  head.set([1, 0, 0, 0, 3])
  head.writeUInt32LE(id.length, 28)
  return Buffer.concat([head, id, Buffer.alloc(padding, 0xff)])
}

describe('a report', () => {
  it('of SEV-SNP comes with its certificates', async () => {
    const tsm = new FakeTsm(DIRECTORY)
    const record = await collector(tsm).tee.report(DATA)
    expect(record).toMatchObject({ kind: 'sev-snp', certificates: ['MAEB', 'MAEC', 'MAED'] })
    expect(parseSnpReport(fromBase64url(record.report)).reportData).toEqual(DATA)
    expect(tsm.reports).toBe(1)
    expect(tsm.entries.size).toBe(0)
  })

  it('of TDX comes without the padding of its buffer', async () => {
    const record = await collector(new FakeTsm(DIRECTORY, 'tdx_guest')).tee.report(DATA)
    expect(Object.keys(record)).toEqual(['kind', 'report'])
    expect(parseTdxQuote(fromBase64url(record.report)).body.reportData).toEqual(DATA)
  })

  it('of TDX comes with the TD’s event log, where its place is known', async () => {
    const tsm = new FakeTsm(DIRECTORY, 'tdx_guest')
    tsm.files.set('/CCEL', ccel(1000))
    const record = await collector(tsm, '/CCEL').tee.report(DATA)
    expect(fromBase64url(record.event_log!)).toEqual(new Uint8Array(ccel(0)))
    tsm.files.delete('/CCEL')
    await expect(collector(tsm, '/CCEL').tee.report(DATA)).rejects.toThrow(failed('ENOENT'))
  })

  it('is asked for again while the host is busy, each time later', async () => {
    const tsm = new FakeTsm(DIRECTORY)
    tsm.busy = 3
    const { tee, waits } = collector(tsm)
    await tee.report(DATA)
    expect(waits).toEqual([1000, 2000, 3000])
    expect(tsm.reports).toBe(1)
  })

  it('is given up when the host stays busy', async () => {
    const tsm = new FakeTsm(DIRECTORY)
    tsm.busy = Number.POSITIVE_INFINITY
    const { tee, waits } = collector(tsm)
    await expect(tee.report(DATA)).rejects.toThrow(failed('answers no request'))
    expect(waits.length).toBe(7)
    expect(tsm.entries.size).toBe(0)
  })

  it('is not asked for again after any other failure', async () => {
    const tsm = new FakeTsm(DIRECTORY)
    tsm.onRead = (attribute) => {
      if (attribute === 'outblob') throw Object.assign(new Error('EIO'), { code: 'EIO' })
    }
    const { tee, waits } = collector(tsm)
    await expect(tee.report(DATA)).rejects.toThrow(failed('EIO'))
    expect([waits, tsm.entries.size]).toEqual([[], 0])
  })

  it('is asked for through a directory that is new', async () => {
    const tsm = new FakeTsm(DIRECTORY)
    tsm.entries.set('sealed-00a1', { generation: 7, inblob: new Uint8Array(64) })
    const generations: number[] = []
    tsm.onRead = (attribute) => {
      if (attribute === 'generation') generations.push(tsm.entries.get('sealed-00a1')!.generation)
    }
    await collector(tsm).tee.report(DATA)
    expect(generations).toEqual([0, 1])
    expect(tsm.entries.size).toBe(0)
  })

  it('is refused when somebody else wrote to the directory', async () => {
    const tsm = new FakeTsm(DIRECTORY)
    tsm.onRead = (attribute) => {
      if (attribute === 'provider') tsm.entries.get('sealed-00a1')!.generation += 1
    }
    await expect(collector(tsm).tee.report(DATA)).rejects.toThrow(failed('one write'))
    expect(tsm.entries.size).toBe(0)
  })

  it('is refused when what was to be carried was never taken', async () => {
    const tsm = new FakeTsm(DIRECTORY)
    tsm.write = async () => {}
    tsm.carry = () => DATA
    await expect(collector(tsm).tee.report(DATA)).rejects.toThrow(failed('one write'))
  })

  it.each(['sev_guest', 'tdx_guest'])(
    'is refused when it carries something else: %s',
    async (provider) => {
      const tsm = new FakeTsm(DIRECTORY, provider)
      tsm.carry = (asked) => asked.with(63, 0)
      await expect(collector(tsm).tee.report(DATA)).rejects.toThrow(failed('something else'))
    },
  )

  it.each(['arm_cca_guest', '', 'sev_guest tdx_guest'])(
    'is refused of provider %j',
    async (provider) => {
      await expect(collector(new FakeTsm(DIRECTORY, provider)).tee.report(DATA)).rejects.toThrow(
        failed('is not known'),
      )
    },
  )

  it('is refused when it is none', async () => {
    const tsm = new FakeTsm(DIRECTORY)
    tsm.carry = () => new Uint8Array(0)
    tsm.read = new Proxy(tsm.read, {
      apply: async (read, self, [path]: [string]) =>
        path.endsWith('outblob') ? new Uint8Array(10) : read.call(self, path),
    })
    await expect(collector(tsm).tee.report(DATA)).rejects.toThrow(failed('SNP report'))
  })

  it('cannot be had where the kernel has no such directory', async () => {
    const tee = new ConfigfsTsm({ directory: '/nowhere/tsm', name: 'sealed-00a1' })
    await expect(tee.report(DATA)).rejects.toThrow(failed('/nowhere/tsm'))
  })
})

describe('a directory on disk', () => {
  /** What the kernel does when a directory is made in configfs and removed again. */
  const kernel = (outblob: Uint8Array): TsmFiles => ({
    ...nodeFiles,
    mkdir: async (path) => {
      await nodeFiles.mkdir(path)
      await writeFile(join(path, 'generation'), '0\n')
      await writeFile(join(path, 'provider'), 'tdx_guest\n')
      await writeFile(join(path, 'outblob'), outblob)
    },
    write: async (path, bytes) => {
      await nodeFiles.write(path, bytes)
      await writeFile(join(path, '..', 'generation'), '1\n')
    },
    rmdir: async (path) => {
      for (const name of await readdir(path)) await rm(join(path, name))
      await nodeFiles.rmdir(path)
    },
  })

  it('is made, written, read and removed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tsm-'))
    const files = kernel(tdxBuffer(DATA))
    const record = await new ConfigfsTsm({ directory, name: 'sealed-00a1', files }).report(DATA)
    expect(record.kind).toBe('tdx')
    expect(await readdir(directory)).toEqual([])
    const other = kernel(snpReport(DATA))
    const tee = new ConfigfsTsm({ directory, name: 'sealed-00a1', files: other })
    await expect(tee.report(DATA)).rejects.toThrow(failed('TDX quote'))
    expect(await readdir(directory)).toEqual([])
    await rm(directory, { recursive: true })
  })
})
