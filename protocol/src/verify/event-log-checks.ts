// What an event log proves of a boot: that it leads to the quoted PCR values, and which EFI applications were started.
// Nothing is taken from the log's text where a digest does not vouch for it.
import { type Bytes, equal, toHex, utf8 } from '../bytes.ts'
import { EVENT, type EventLog, type LogEvent, replayEventLog } from '../event-log.ts'
import { CONFIGURATION_PCR, KEY_SET_PCR } from '../key-set.ts'
import { LAUNCH_PCR } from '../launch.ts'
import { ensure, Refusal } from './checks.ts'

/** PCRs that only firmware, boot loader and kernel extend: what the log does not tell, they must not hold. */
const BOOT_PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12]
/** Ours are extended after the log ends. */
const OWN_PCRS = [CONFIGURATION_PCR, LAUNCH_PCR, KEY_SET_PCR]
/** Where firmware measures what it starts: 4, and on TDX machines of GCE 2. */
const APPLICATION_PCRS = [2, 4]
const GPT_MAGIC = utf8('EFI PART')

/** Fails unless the log leads to the quoted values: of each PCR it speaks of, and zero in those it is silent about. */
export async function replayMatches(
  log: EventLog,
  quoted: ReadonlyMap<number, Bytes>,
): Promise<string> {
  const replayed = await replayEventLog(log)
  for (const index of OWN_PCRS)
    ensure(!replayed.has(index), `the log speaks of PCR ${index}, which is ours alone`)
  for (const index of new Set([...BOOT_PCRS, ...replayed.keys()])) {
    const value = quoted.get(index)
    ensure(value !== undefined, `PCR ${index} was not quoted`)
    const told = replayed.get(index) ?? new Uint8Array(32)
    ensure(equal(value, told), `PCR ${index} is not what the log leads to`)
  }
  return `${log.events.length} events lead to PCRs ${[...replayed.keys()].sort((a, b) => a - b).join(',')}`
}

/**
 * Digests (Authenticode) of all EFI applications that were started, in order. Type and data of an application's event
 * are a remark, so every event beside it must be known for what it is: one that hides behind another type fails.
 */
export function bootApplications(log: EventLog): string[] {
  const applications: string[] = []
  for (const event of log.events.filter(({ pcr }) => APPLICATION_PCRS.includes(pcr))) {
    if (event.type === EVENT.efiApplication) applications.push(toHex(event.digest))
    else if (!isHarmless(event))
      throw new Refusal(`PCR ${event.pcr} holds a measurement that may be of an application`)
  }
  return applications
}

/** A separator, the firmware's remark on what it does, or a partition table; no program's bytes can pass for them. */
function isHarmless({ type, data, believed }: LogEvent): boolean {
  if (!believed) return false
  if (type === EVENT.efiAction) return data.every((byte) => byte >= 0x20 && byte <= 0x7e)
  if (type === EVENT.efiGpt) return equal(data.subarray(0, GPT_MAGIC.length), GPT_MAGIC)
  return type === EVENT.separator
}
