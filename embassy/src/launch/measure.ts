// Measures a launch: its record, then a separator. Either may have been done by an earlier try that was cut short; what
// anybody else has measured there is never measured on top of.
import {
  equal,
  LAUNCH_PCR,
  type Launch,
  launchMeasurements,
  launchValues,
  SealedError,
} from '@sealed/protocol'
import type { Tpm } from '../tpm/index.ts'

/** Leaves the PCR at the launch's last value, or throws `config.invalid`. */
export async function measureLaunch(
  tpm: Pick<Tpm, 'extend' | 'readPcrs'>,
  record: Launch,
): Promise<void> {
  const value = (await tpm.readPcrs([LAUNCH_PCR])).get(LAUNCH_PCR)!
  const done = (await launchValues(record)).findIndex((each) => equal(each, value))
  if (done < 0)
    throw new SealedError(
      'config.invalid',
      `PCR ${LAUNCH_PCR} holds another launch, or something else, in this boot: attributes and image are measured once, so restart the machine`,
    )
  for (const digest of (await launchMeasurements(record)).slice(done))
    await tpm.extend(LAUNCH_PCR, digest)
}
