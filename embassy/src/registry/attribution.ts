// Attribution `cosine-max`, version 1 (SPEC.md, "Attribution"): how much of a capability one request used, from its
// activations and the stored signatures. The same numbers give the same answer, so that an auditor can repeat it.

export const ATTRIBUTION = 'cosine-max-1'

/** A stored signature: one pooled activation vector of a capability, for one model. */
export interface Signature {
  capability: string
  polarity: 'positive' | 'negative'
  vector: Float32Array
}

/** Mean of all signatures of a model: what its activations share whatever the topic. Zero while there is one. */
export function baseline(signatures: readonly Signature[], dimensions: number): Float64Array {
  const mean = new Float64Array(dimensions)
  if (signatures.length < 2) return mean
  for (const { vector } of signatures) for (let i = 0; i < dimensions; i++) mean[i]! += vector[i]!
  for (let i = 0; i < dimensions; i++) mean[i]! /= signatures.length
  return mean
}

function cosine(a: Float32Array, b: Float32Array, centre: Float64Array): number {
  let dot = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < centre.length; i++) {
    const x = a[i]! - centre[i]!
    const y = b[i]! - centre[i]!
    dot += x * y
    aa += x * x
    bb += y * y
  }
  return aa === 0 || bb === 0 ? 0 : dot / Math.sqrt(aa * bb)
}

/**
 * Use of each capability in millionths: max over its positive signatures s of max(0, cosine(x − b, s − b)).
 * Signatures of another size than the observation are of another model and never compared.
 */
export function attribute(
  observed: Float32Array,
  signatures: readonly Signature[],
): Map<string, number> {
  const comparable = signatures.filter(({ vector }) => vector.length === observed.length)
  const centre = baseline(comparable, observed.length)
  const use = new Map<string, number>()
  for (const { capability, polarity, vector } of comparable) {
    if (polarity === 'negative') continue
    const score = Math.round(1e6 * Math.max(0, Math.min(1, cosine(observed, vector, centre))))
    use.set(capability, Math.max(use.get(capability) ?? 0, score))
  }
  return use
}
