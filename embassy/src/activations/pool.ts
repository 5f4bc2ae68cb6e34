// What stands for one request: the mean over its tokens of the middle layer's hidden states.
import { SealedError } from '@sealed/protocol'
import type { HiddenStates } from './safetensors.ts'

/** Bounds on what one session may hand over. */
export const MAX_TOKENS = 131_072
export const MAX_HIDDEN = 65_536

/** Mean-pooled middle layer. Throws `activations.invalid` when it is zero, not finite or out of bounds. */
export function pool(states: HiddenStates): Float32Array {
  const { tokens, layers, hidden } = states
  if (tokens > MAX_TOKENS || hidden > MAX_HIDDEN || layers > 512)
    throw new SealedError(
      'activations.invalid',
      `activations: [${tokens}, ${layers}, ${hidden}] is out of bounds`,
    )
  const middle = Math.floor(layers / 2)
  const sum = new Float64Array(hidden)
  for (let token = 0; token < tokens; token++) {
    const row = states.row(middle, token)
    for (let i = 0; i < hidden; i++) sum[i]! += row[i]!
  }
  const mean = Float32Array.from(sum, (value) => value / tokens)
  if (mean.every((value) => value === 0))
    throw new SealedError('activations.invalid', 'activations: all zero')
  return mean
}
