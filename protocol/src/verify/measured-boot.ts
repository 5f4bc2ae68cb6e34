// The checks of what was booted: PCR values against reference values, the event log against the PCR values, and the
// EFI applications in it against those of the image. Each judges quoted values only.
import { fromBase64url } from '../bytes.ts'
import { type EventLog, parseEventLog } from '../event-log.ts'
import type { Image, Policy } from '../policy.ts'
import { type Checks, needs, Skip } from './checks.ts'
import { bootApplications, replayMatches } from './event-log-checks.ts'
import { gceFirmware } from './gce-firmware.ts'
import { bootedImage, fittingImages, pinnedImages } from './reference-values.ts'
import type { DocumentFacts } from './verify-document.ts'

export async function checkMeasuredBoot(
  checks: Checks,
  facts: DocumentFacts,
  policy: Policy,
): Promise<void> {
  const { document, pcrs, claims } = facts
  const wanted = policy.evidence.includes('event-log')
  let images: readonly Image[] | undefined
  let log: EventLog | undefined
  await checks.run('document.pcr_reference', wanted || policy.images.length > 0, async () => {
    const fitting = fittingImages(policy.images, pcrs)
    images = wanted ? pinnedImages(fitting) : fitting
    return images.map(({ name, version }) => `${name} ${version}`).join(', ')
  })
  await checks.run('document.event_log', wanted, async () => {
    if (document.event_log === undefined) throw new Skip('no event log in the document')
    const parsed = await parseEventLog(fromBase64url(document.event_log))
    const reason = await replayMatches(parsed, pcrs)
    log = parsed
    return reason
  })
  await checks.run('document.boot_application', wanted, async () => {
    const applications = bootApplications(needs(log, 'the event log'))
    const image = bootedImage(needs(images, 'reference values that fit'), applications)
    claims.image = { name: image.name, version: image.version }
    return `${applications.length} measured, those of ${image.name} ${image.version}`
  })
  const firmware = gceFirmware(pcrs.get(0))
  if (firmware) claims.firmware = firmware
}
