// Evidence in binary form, as a hostile machine may send it: quotes, keys, event logs, certificates' extensions.
import { type Bytes, fromBase64url } from '../bytes.ts'
import { parseEventLog, replayEventLog } from '../event-log.ts'
import { importAttestationKey, parseAttest, verifyAttestSignature } from '../quote.ts'
import { parseGceInstance } from '../verify/gce-instance.ts'
import { bootEvents, logBytes } from '../verify/test-log.ts'
import { gceInstanceDer } from '../verify/test-tpm.ts'
import type { Target } from './run.ts'
import { document } from './samples.ts'

const bytes = { shape: 'bytes' as const }

/** ECDSA-SHA256-P256 with the curve's base point, as a TPM writes a key. */
const EC_KEY = [
  '0023000b00050072000000100018000b00030010',
  '00206b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296',
  '00204fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
].join('')

export async function hardwareTargets(): Promise<Target[]> {
  const attest = fromBase64url(document.quote.attest)
  const tpmtPublic = fromBase64url(document.ak.public)
  const ecPublic = Uint8Array.from(EC_KEY.match(/../g)!, (byte) =>
    Number.parseInt(byte, 16),
  ) as Bytes
  const ak = await importAttestationKey(tpmtPublic)
  const log = await logBytes(bootEvents())
  return [
    {
      name: 'TPMS_ATTEST',
      samples: [attest],
      ...bytes,
      accepts: (input) => parseAttest(input).pcrs.every((pcr) => pcr < 24),
    },
    {
      name: 'TPMT_PUBLIC',
      samples: [tpmtPublic, ecPublic],
      ...bytes,
      accepts: async (input) => (await importAttestationKey(input)).name.length === 34,
    },
    {
      name: 'TPMT_SIGNATURE',
      samples: [fromBase64url(document.quote.signature)],
      ...bytes,
      accepts: (input) => verifyAttestSignature(ak, attest, input),
    },
    {
      name: 'event log',
      samples: [log, await logBytes(bootEvents(3))],
      ...bytes,
      accepts: async (input) => (await replayEventLog(await parseEventLog(input))).size <= 24,
      percent: 20,
    },
    {
      name: 'GCE instance extension',
      samples: [gceInstanceDer()],
      ...bytes,
      accepts: (input) => parseGceInstance(input) !== undefined,
    },
  ]
}
