// The software TPM starts as a measured machine does: its log, written by one hand, replays under the verifier of
// another, and its PCRs are extended once a start, whatever was done to them before.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEventLog, replayEventLog, toHex } from '@sealed/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openTpm } from '../embassy/src/tpm/index.ts'
import { bootApplications, replayMatches } from '../protocol/src/verify/event-log-checks.ts'
import { gceFirmware } from '../protocol/src/verify/gce-firmware.ts'
import { fittingImages } from '../protocol/src/verify/reference-values.ts'
import { startSoftwareTpm } from '../scripts/world/tpm.ts'
import { killSwtpms } from './support/software-tpm.ts'

const ALL = Array.from({ length: 16 }, (_, pcr) => pcr)
let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-firmware-'))
})
afterEach(async () => {
  await killSwtpms(directory)
  await rm(directory, { recursive: true })
})

test('its log leads to its PCRs, at every start anew', async () => {
  const starts: string[] = []
  for (let start = 0; start < 3; start++) {
    const world = await startSoftwareTpm({
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 's'),
    })
    const tpm = await openTpm(world.socketPath)
    const pcrs = new Map(
      [...(await tpm.readPcrs(ALL))].map(([index, value]) => [index, new Uint8Array(value)]),
    )
    const log = await parseEventLog(await readFile(world.eventLogPath))
    expect([...(await replayEventLog(log)).keys()].toSorted((a, b) => a - b)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 9, 11,
    ])
    await replayMatches(log, pcrs)
    const { image } = world
    const pcrRows = image.pcrs.map(({ digests, index }) => ({ digests: [...digests], index }))
    const images = [{ ...image, pcrs: pcrRows, uki: [...image.uki] }]
    expect(fittingImages(images, pcrs)).toEqual(images)
    expect(bootApplications(log)).toEqual(image.uki)
    expect(gceFirmware(pcrs.get(0))).toEqual({ technology: 'none', version: 2 })
    for (const index of [8, 10, 12, 13, 14, 15]) expect(pcrs.get(index)).toEqual(new Uint8Array(32))
    starts.push([...pcrs.values()].map(toHex).join())
    await tpm.extend(4, new Uint8Array(32).fill(start))
    await tpm.close()
    await world.stop()
  }
  expect(new Set(starts).size).toBe(1)
})
