// What one boot has of the processor: one report, bound to keys and TPM both ways, kept as long as the keys are. And of its
// launch, where there was one. Mutants tried: no look at PCR 13; none where no launch is configured; no look at the
// configuration; the record left out of the document.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Configuration,
  equal,
  fromBase64url,
  type Launch,
  launchMeasurements,
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

describe('the launch of a boot', () => {
  const workload: Configuration['workloads'][number] = {
    activations: 'safetensors',
    digest: 'd1'.repeat(32),
    egress: [],
    image: 'c1'.repeat(32),
    name: 'demo',
    models: ['m'],
    prefix_cache: 'off',
    seal_policy: 'request',
  }
  const launch: Launch = {
    attributes: [],
    image: { config: workload.image, reference: `gcr.io/p/demo@sha256:${'a1'.repeat(32)}` },
    labels: [],
    version: 1,
    workload: workload.digest,
  }
  const measure = async (record: Launch) => {
    for (const digest of await launchMeasurements(record)) await tpm.extend(13, digest)
  }
  const launched = () => ({
    ...deps,
    launch,
    configuration: { ...CONFIGURATION, workloads: [workload] },
  })
  const refused = (message: RegExp) =>
    expect.objectContaining({ code: 'config.invalid', message: expect.stringMatching(message) })

  it('is told in the document, and needed at every start', async () => {
    await measure(launch)
    const boot = await startBoot(launched())
    expect((await attest(boot, launched())).document.launch).toEqual(launch)
    await startBoot(launched())
  })

  it('is refused where it was not measured, or another was, or not closed', async () => {
    await expect(startBoot(launched())).rejects.toThrow(refused(/PCR 13 holds another launch/))
    const [record, separator] = await launchMeasurements(launch)
    await tpm.extend(13, record)
    await expect(startBoot(launched())).rejects.toThrow(refused(/PCR 13 holds another launch/))
    await tpm.extend(13, separator)
    await startBoot(launched())
    await tpm.extend(13, separator)
    await expect(startBoot(launched())).rejects.toThrow(refused(/PCR 13 holds another launch/))
  })

  it('is refused where the configuration is not what it led to', async () => {
    await measure(launch)
    const with_ = (...workloads: Configuration['workloads']) =>
      startBoot({ ...launched(), configuration: { ...CONFIGURATION, workloads } })
    await expect(with_({ ...workload, image: 'c2'.repeat(32) })).rejects.toThrow(refused(/image/))
    await expect(with_({ ...workload, digest: 'd2'.repeat(32) })).rejects.toThrow(refused(/file/))
    await expect(with_(workload, { ...workload, name: 'b' })).rejects.toThrow(refused(/one/))
    await expect(with_()).rejects.toThrow(refused(/one/))
  })

  it('cannot be hidden: who configures none is refused, before a key is made', async () => {
    await measure(launch)
    await expect(startBoot(deps)).rejects.toThrow(refused(/no launch is configured/))
    expect([...tpm.pcrs.keys()]).toEqual([13])
  })
})
