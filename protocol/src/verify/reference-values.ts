// Reference values: which image, of those that the policy names, a machine booted. One must fit wholly; parts of two
// versions never add up to one.
import { type Bytes, equal, fromHex } from '../bytes.ts'
import type { Image } from '../policy.ts'
import { ensure, Refusal, Skip } from './checks.ts'

/** Kernel and command line, and the unified kernel image's parts: without these an image is not pinned. */
const PINNED_PCRS = [9, 11]
/** What a boot loader or an operator adds to the image: nothing, unless reference values say otherwise. */
const EMPTY_PCRS = [12]

/** The images whose reference values the machine has, every one. Fails when there is none. */
export function fittingImages(
  images: readonly Image[],
  pcrs: ReadonlyMap<number, Bytes>,
): readonly Image[] {
  if (images.length === 0) throw new Skip('the policy names no reference values')
  const misfits = images.map((image) => firstMisfit(image, pcrs))
  const fitting = images.filter((_, i) => misfits[i] === undefined)
  const [only] = images.length === 1 ? misfits : []
  ensure(
    fitting.length > 0,
    only === undefined
      ? `none of the policy's ${images.length} images fits`
      : `PCR ${only} has none of the policy's reference values`,
  )
  return fitting
}

/** Those that pin what was booted; a skip when there is none, for then the policy leaves open what it asks for. */
export function pinnedImages(images: readonly Image[]): readonly Image[] {
  const pins = (image: Image) =>
    PINNED_PCRS.every((pinned) => image.pcrs.some(({ index }) => index === pinned))
  const pinned = images.filter(pins)
  if (pinned.length === 0)
    throw new Skip(`the policy names no reference values for PCRs ${PINNED_PCRS.join(' and ')}`)
  return pinned
}

function firstMisfit(image: Image, pcrs: ReadonlyMap<number, Bytes>): number | undefined {
  const zero = '00'.repeat(32)
  const named = new Map(image.pcrs.map(({ index, digests }) => [index, digests]))
  for (const index of EMPTY_PCRS) if (!named.has(index)) named.set(index, [zero])
  for (const [index, digests] of named) {
    const value = pcrs.get(index)
    if (!value || !digests.some((digest) => equal(value, fromHex(digest)))) return index
  }
  return undefined
}

/**
 * The image whose applications, and no other, were started: the first of `uki`, then as many of the rest as the
 * firmware measured (the inner kernel is measured only where Secure Boot is off).
 */
export function bootedImage(images: readonly Image[], applications: readonly string[]): Image {
  ensure(applications.length > 0, 'the log tells of no EFI application')
  const booted = images.find(({ uki }) =>
    applications.every((digest, i) => uki !== undefined && digest === uki[i]),
  )
  if (booted) return booted
  if (images.some(({ uki }) => uki === undefined))
    throw new Skip('the policy names no boot application for this image')
  throw new Refusal(
    `an EFI application was started that is not the image's: ${applications.join(', ')}`,
  )
}
