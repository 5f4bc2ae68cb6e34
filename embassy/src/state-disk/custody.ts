// Which of a state's sealed keys is opened, and how a higher security version takes over so that no lower one ever
// opens it again: seal anew, write that down, raise the counter, and only then forget the old. A stop between any two
// of them is gone on from at the next start; until the counter has moved, nothing was written under the higher version.
import { SealedError } from '@sealed/protocol'
import { nvIncrement } from '../tpm/commands.ts'
import type { Execute } from '../tpm/link.ts'
import { defineCounter, readCounter } from '../tpm/nv.ts'
import { STATE_COUNTER } from './policy.ts'
import { type Image, type SealedKey, sealKey, unsealKey } from './sealed-key.ts'

/** Writes down these sealed keys in place of those that are there, durably. */
export type Keep = (keys: readonly SealedKey[]) => Promise<void>

/** Seals the key of a new state. What older states of this TPM are sealed to is left alone. */
export async function sealFirst(
  execute: Execute,
  image: Image,
  key: Uint8Array,
): Promise<SealedKey> {
  await defineCounter(execute, STATE_COUNTER)
  return sealKey(execute, image, key, await readCounter(execute, STATE_COUNTER))
}

/**
 * The key of a state that is there.
 * @throws SealedError `state.locked` that says why not and what to do
 */
export async function openKey(
  execute: Execute,
  image: Image,
  keys: readonly SealedKey[],
  keep: Keep,
): Promise<Uint8Array> {
  const newest = keys.toSorted((a, b) => b.securityVersion - a.securityVersion)[0]
  if (!newest) throw locked('the disk holds no sealed key')
  if (newest.securityVersion > image.securityVersion)
    throw locked(
      `downgrade: this state was opened by security version ${newest.securityVersion}, and this image has ` +
        `${image.securityVersion}: boot an image of ${newest.securityVersion} or higher`,
    )
  const key = await unsealKey(execute, image, newest)
  if (newest.securityVersion < image.securityVersion) {
    const counter = await readCounter(execute, STATE_COUNTER)
    const next = await sealKey(execute, image, key, counter + 1n)
    await keep([newest, next])
    await raiseTo(execute, next.limit)
    await keep([next])
    return key
  }
  await raiseTo(execute, newest.limit)
  if (keys.length > 1) await keep([newest])
  return key
}

async function raiseTo(execute: Execute, limit: bigint): Promise<void> {
  if ((await readCounter(execute, STATE_COUNTER)) < limit) await execute(nvIncrement(STATE_COUNTER))
}

const locked = (message: string) => new SealedError('state.locked', message)
