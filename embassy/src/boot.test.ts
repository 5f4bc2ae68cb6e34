// What one boot has of the processor: one report, bound to keys and TPM both ways, kept as long as the keys are.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Configuration,
  equal,
  fromBase64url,
  parseAttest,
  parseSnpReport,
  quoteBinding,
  reportData,
  SealedError,
  sha256,
} from '@sealed/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigfsTsm, type Tee } from './attestation/tee.ts'
import { attest, type BootDeps, startBoot } from './boot.ts'
import { KeyDirectory } from './keys/key-files.ts'
import { FakeTpm } from './test-support/fake-tpm.ts'
import { FakeTsm } from './test-support/fake-tsm.ts'

const TSM = '/sys/kernel/config/tsm/report'
const CONFIGURATION: Configuration = {
  attribution: 'cosine-max-1',
  authorities: [],
  metering: 'required',
  version: 1,
  workloads: [],
}

/** Another boot. */
function reset(): void {
  tpm.pcrs.clear()
  tpm.resetCount += 1
}

let directory: string
let tpm: FakeTpm
let tsm: FakeTsm
let deps: BootDeps
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'boot-'))
  tpm = new FakeTpm()
  tsm = new FakeTsm(TSM)
  const chainPath = join(directory, 'chain.pem')
  await writeFile(chainPath, '')
  deps = {
    tpm,
    files: new KeyDirectory(join(directory, 'keys')),
    configuration: CONFIGURATION,
    chainPath,
    tee: new ConfigfsTsm({ directory: TSM, name: 'sealed-00a1', files: tsm }),
  }
})
afterEach(() => rm(directory, { recursive: true }))

describe('the report of a boot', () => {
  it('carries attestation key and key set, and is covered by the quote', async () => {
    const boot = await startBoot(deps)
    const { document } = await attest(boot, deps)
    const report = fromBase64url(document.tee_report!.report)
    const expected = await reportData(tpm.ak.public, boot.keySetDigest)
    expect(equal(parseSnpReport(report).reportData, expected)).toBe(true)
    const { extraData } = parseAttest(fromBase64url(document.quote!.attest))
    expect(extraData).toEqual(await quoteBinding('keys', boot.keySetDigest, await sha256(report)))
    expect(document.tee_report?.certificates?.length).toBe(3)
  })

  it('is asked for once, however often the embassy is started', async () => {
    const first = await startBoot(deps)
    const second = await startBoot(deps)
    await attest(second, deps)
    await attest(second, deps)
    expect(second.teeReport).toEqual(first.teeReport)
    expect(tsm.reports).toBe(1)
  })

  it('is of that boot: another boot has another', async () => {
    const first = await startBoot(deps)
    reset()
    const second = await startBoot(deps)
    expect(tsm.reports).toBe(2)
    expect(second.teeReport).not.toEqual(first.teeReport)
  })

  it('is asked for anew where the one kept is of other keys', async () => {
    const { teeReport } = await startBoot(deps)
    reset()
    await startBoot(deps)
    await deps.files.write('tee.json', JSON.stringify(teeReport))
    const { teeReport: third, keySetDigest } = await startBoot(deps)
    const expected = await reportData(tpm.ak.public, keySetDigest)
    expect(parseSnpReport(fromBase64url(third!.report)).reportData).toEqual(expected)
    expect(tsm.reports).toBe(3)
  })

  it('is missed: an embassy that should have one does not start without, and starts when it can', async () => {
    const tee: Tee = { report: () => Promise.reject(new SealedError('tee.failed', 'busy')) }
    const failed = expect.objectContaining({ code: 'tee.failed' })
    await expect(startBoot({ ...deps, tee })).rejects.toThrow(failed)
    expect((await startBoot(deps)).teeReport).toBeDefined()
  })

  it('is not in a document where no processor is configured', async () => {
    await startBoot(deps)
    const { tee: _, ...without } = deps
    const boot = await startBoot(without)
    const { document } = await attest(boot, without)
    expect(document.tee_report).toBeUndefined()
    const { extraData } = parseAttest(fromBase64url(document.quote!.attest))
    const nothing = await sha256(new Uint8Array(0))
    expect(extraData).toEqual(await quoteBinding('keys', boot.keySetDigest, nothing))
  })
})
