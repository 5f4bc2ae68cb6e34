// The embassy's TPM: quotes, PCRs, counters and hash chains over one connection, in order.
// The same code drives a cloud's vTPM and the software TPM; nothing here knows which one it is.
import { equal, SealedError } from '@sealed/protocol'
import {
  type AttestationKey,
  createAttestationKey,
  type Provision,
  readProvision,
} from './attestation-key.ts'
import {
  flushContext,
  nvIncrement,
  pcrExtend,
  pcrRead,
  quote,
  readClock,
  transientHandles,
} from './commands.ts'
import { type Execute, Link } from './link.ts'
import { defineChain, defineCounter, extendIndex, readCounter, readIndex } from './nv.ts'
import { openTransport } from './transport.ts'

/** A quote as the TPM gave it, byte for byte. */
export interface Quote {
  /** TPMS_ATTEST. */
  readonly attest: Uint8Array
  /** TPMT_SIGNATURE. */
  readonly signature: Uint8Array
}

export interface TpmClock {
  /** Milliseconds the TPM has been powered in its life; may fall back after an unclean stop. */
  readonly clockMs: bigint
  /** Rises with every boot. */
  readonly resetCount: number
  readonly restartCount: number
  /** False when `clockMs` may have been reported before. */
  readonly safe: boolean
}

/** Every failure is `tpm.failed` and names the command. Calls may overlap: they run one by one. */
export interface Tpm {
  readonly ak: AttestationKey
  /** Signs `extraData` (1 to 64 bytes; use 32) and these PCRs of the SHA-256 bank. */
  quote(extraData: Uint8Array, pcrs: readonly number[]): Promise<Quote>
  /** Extends the SHA-256 bank by a 32-byte digest. */
  extend(pcr: number, digest: Uint8Array): Promise<void>
  /** Values of one moment, in ascending order of PCR. */
  readPcrs(pcrs: readonly number[]): Promise<Map<number, Uint8Array>>
  clock(): Promise<TpmClock>
  readonly counter: {
    /** Makes the counter readable; one that exists keeps its value. */
    define(index: number): Promise<void>
    increment(index: number): Promise<void>
    read(index: number): Promise<bigint>
  }
  /** Makes a SHA-256 chain; one that exists keeps its value. */
  defineExtendNv(index: number): Promise<void>
  /** new value = SHA-256(old value ‖ data), data of 1 to 512 bytes. */
  extendNv(index: number, data: Uint8Array): Promise<void>
  readNv(index: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** What the ledger needs of a TPM, or of what stands in its place: without one there is no quote. */
export type Anchor = Pick<Tpm, 'counter' | 'defineExtendNv' | 'extendNv' | 'readNv'> & {
  quote(extraData: Uint8Array, pcrs: readonly number[]): Promise<Quote | undefined>
}

/** Tries for all PCRs without an extend in between, by whoever else uses the TPM. */
const STEADY_ATTEMPTS = 5

/**
 * Opens `/dev/tpmrm0`, or the Unix socket of a software TPM, and makes its attestation key.
 * After a break the next call connects again and makes the same key, or fails.
 * @throws SealedError `tpm.failed`
 */
export async function openTpm(path: string, options: { timeoutMs?: number } = {}): Promise<Tpm> {
  let provision: Provision | undefined
  let ak: AttestationKey | undefined
  let handle = 0

  const greet = async (execute: Execute) => {
    // A socket has no resource manager: what a killed owner left would fill the TPM's few slots.
    for (const left of await execute(transientHandles())) await execute(flushContext(left))
    provision ??= await readProvision(execute)
    const made = await createAttestationKey(execute, provision)
    if (ak && !equal(ak.name, made.key.name))
      throw new SealedError('tpm.failed', 'another TPM answers than before: restart the embassy')
    ak = made.key
    handle = made.handle
  }
  const link = new Link({
    dial: () => openTransport(path),
    greet,
    timeoutMs: options.timeoutMs ?? 10_000,
  })
  await link.run(async () => undefined)

  return {
    ak: ak!,
    async quote(extraData, pcrs) {
      need(extraData.length >= 1 && extraData.length <= 64, 'extraData has 1 to 64 bytes')
      const selected = sortedPcrs(pcrs)
      return link.run((execute) => execute(quote(handle, extraData, selected)))
    },
    async extend(pcr, digest) {
      need(digest.length === 32, 'a digest for the SHA-256 bank has 32 bytes')
      const [only] = sortedPcrs([pcr])
      return link.run((execute) => execute(pcrExtend(only!, digest)))
    },
    async readPcrs(pcrs) {
      const selected = sortedPcrs(pcrs)
      return link.run((execute) => readSteady(execute, selected))
    },
    clock: () => link.run((execute) => execute(readClock())),
    counter: {
      define: (index) => link.run((execute) => defineCounter(execute, index)),
      increment: (index) => link.run((execute) => execute(nvIncrement(index))),
      read: (index) => link.run((execute) => readCounter(execute, index)),
    },
    defineExtendNv: (index) => link.run((execute) => defineChain(execute, index)),
    async extendNv(index, data) {
      need(data.length >= 1 && data.length <= 512, 'data for an NV chain has 1 to 512 bytes')
      return link.run((execute) => extendIndex(execute, index, data))
    },
    readNv: (index) => link.run((execute) => readIndex(execute, index)),
    close: () => link.close((execute) => execute(flushContext(handle))),
  }
}

/** A TPM reads eight PCRs at a time; its update counter tells whether one moved in between. */
async function readSteady(execute: Execute, pcrs: number[]): Promise<Map<number, Uint8Array>> {
  for (let attempt = 0; attempt < STEADY_ATTEMPTS; attempt++) {
    const values = new Map<number, Uint8Array>()
    const seen = new Set<number>()
    for (let left = pcrs; left.length > 0; left = left.filter((pcr) => !values.has(pcr))) {
      const { updates, selected, digests } = await execute(pcrRead(left))
      seen.add(updates)
      if (selected.length === 0 || selected.length !== digests.length)
        throw new SealedError('tpm.failed', `TPM2_PCR_Read gave no SHA-256 value of PCR ${left[0]}`)
      for (const [i, pcr] of selected.entries()) values.set(pcr, digests[i]!)
    }
    if (seen.size === 1) return values
  }
  throw new SealedError('tpm.failed', 'TPM2_PCR_Read: the PCRs change faster than they can be read')
}

function sortedPcrs(pcrs: readonly number[]): number[] {
  need(pcrs.length > 0, 'at least one PCR is selected')
  need(new Set(pcrs).size === pcrs.length, 'a PCR is selected once')
  for (const pcr of pcrs) need(Number.isInteger(pcr) && pcr >= 0 && pcr <= 23, 'PCRs are 0 to 23')
  return pcrs.toSorted((a, b) => a - b)
}

function need(holds: boolean, rule: string): void {
  if (!holds) throw new SealedError('internal.error', `TPM: ${rule}`)
}
