// How a state's key is handed on: sealed for the first time, opened, and taken over by a higher security version so that
// no lower one ever opens it again: seal anew, write that down in the place of the old, raise the counter. A stop between
// any two of them is gone on from at the next start; nothing is written to the state before the counter has moved.
import { equal, SealedError } from '@sealed/protocol'
import { nvIncrement } from '../tpm/commands.ts'
import type { Execute } from '../tpm/link.ts'
import { defineCounter, readCounter } from '../tpm/nv.ts'
import { STATE_COUNTER } from './policy.ts'
import { type Image, type SealedKey, sealKey, unsealKey } from './sealed-key.ts'

/** Writes this sealed key down in the place of the one that is there, durably. */
export type Keep = (sealed: SealedKey) => Promise<void>

/** Seals the key of a new state. What older states of this TPM are sealed to is left alone. */
export async function sealFirst(
  execute: Execute,
  image: Image,
  key: Uint8Array,
): Promise<SealedKey> {
  await defineCounter(execute, STATE_COUNTER)
  return sealProven(execute, image, key, await readCounter(execute, STATE_COUNTER))
}

/**
 * The key of a state that is there.
 * @throws SealedError `state.locked` that says why not and what to do
 */
export async function openKey(
  execute: Execute,
  image: Image,
  sealed: SealedKey,
  keep: Keep,
): Promise<Uint8Array> {
  if (sealed.securityVersion > image.securityVersion)
    throw new SealedError(
      'state.locked',
      `downgrade: this state was opened by security version ${sealed.securityVersion}, and this image has ` +
        `${image.securityVersion}: boot an image of ${sealed.securityVersion} or higher`,
    )
  const key = await unsealKey(execute, image, sealed)
  const counter = await readCounter(execute, STATE_COUNTER)
  if (sealed.securityVersion < image.securityVersion) {
    await keep(await sealProven(execute, image, key, counter + 1n))
    await execute(nvIncrement(STATE_COUNTER))
  } else if (counter < sealed.limit) {
    // A take-over was cut off here: the key of before is alive until now.
    await execute(nvIncrement(STATE_COUNTER))
  }
  return key
}

/** A key that does not come out again would lose the state at the next boot: better it is not kept. */
async function sealProven(
  execute: Execute,
  image: Image,
  key: Uint8Array,
  limit: bigint,
): Promise<SealedKey> {
  const sealed = await sealKey(execute, image, key, limit)
  const again = await unsealKey(execute, image, sealed)
  const same = equal(again, key)
  again.fill(0)
  if (!same) throw new SealedError('state.locked', 'the TPM unsealed another key than was sealed')
  return sealed
}
