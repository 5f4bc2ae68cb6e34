// What a session's activations come to: the sweep, the judgement and the pooled vector, off to the registry.
import { type AbortReason, SealedError } from '@sealed/protocol'
import { pool } from '../activations/pool.ts'
import { parseHiddenStates } from '../activations/safetensors.ts'
import { type Source, sweep } from '../activations/sweep.ts'
import { saltedDigest } from '../digests.ts'
import type { Observation } from '../store/registry-rows.ts'
import type { Draft } from '../store/stamp.ts'

export type Observed =
  | { kind: 'seen'; observation: Observation; statement: Draft }
  | { kind: 'missing' }
  | { kind: 'invalid'; reason: AbortReason; message: string }

/** Collects and judges the activations of one session; `model` is the embassy's own digest of the model. */
export async function observe(
  source: Source,
  deadlineMs: number,
  model: string,
  salt: Uint8Array,
): Promise<Observed> {
  try {
    const file = await sweep(source, deadlineMs)
    if (!file) return { kind: 'missing' }
    const states = parseHiddenStates(file)
    const vector = pool(states)
    const { tokens, layers, hidden } = states
    const statement: Draft = {
      type: 'activations.observed',
      content_digest: saltedDigest(salt, file),
      hidden,
      layers,
      model,
      tokens,
    }
    return { kind: 'seen', observation: { model, vector }, statement }
  } catch (error) {
    const message =
      error instanceof SealedError ? error.message : 'activations: the directory cannot be read'
    return { kind: 'invalid', reason: 'activations.invalid', message }
  }
}
