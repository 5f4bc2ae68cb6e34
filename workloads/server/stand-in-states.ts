// Hidden states of a model that is not there, for workloads that only test what stands around them.
import type { Activations } from './activations.ts'

const SHAPE = [4, 4, 32] as const

/** The same text gives the same states; another one gives others. All lie within ±0.5. */
export function statesOf(text: string): Pick<Activations, 'shape' | 'states'> {
  const states = new Float32Array(SHAPE[0] * SHAPE[1] * SHAPE[2])
  let seed = 2166136261
  for (let i = 0; i < text.length; i++) seed = Math.imul(seed ^ text.charCodeAt(i), 16777619)
  for (let i = 0; i < states.length; i++) {
    seed = Math.imul(seed ^ (seed >>> 15), 2246822519) + 1
    states[i] = (seed & 0xffff) / 0xffff - 0.5
  }
  return { shape: SHAPE, states }
}
