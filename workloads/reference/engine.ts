// A forward pass of a small Llama in plain TypeScript: RMSNorm, rotary positions (rotate-half), SwiGLU,
// tied embeddings, a key-value cache. Greedy use of it is deterministic, so the same input has the same hidden states.
import type { Weights } from './weights.ts'

export interface ModelConfig {
  hidden_size: number
  intermediate_size: number
  max_position_embeddings: number
  num_attention_heads: number
  num_hidden_layers: number
  rms_norm_eps: number
  rope_theta: number
  vocab_size: number
}

interface Layer {
  attentionNorm: Float32Array
  query: Float32Array
  key: Float32Array
  value: Float32Array
  output: Float32Array
  mlpNorm: Float32Array
  gate: Float32Array
  up: Float32Array
  down: Float32Array
}

/**
 * out[r] = Σ matrix[r, c] · x[c], the matrix row-major, its columns a multiple of four. Four sums run side by side: one
 * alone would wait for each addition before the next.
 */
function multiply(out: Float32Array, matrix: Float32Array, x: Float32Array): void {
  const columns = x.length
  for (let row = 0, at = 0; row < out.length; row++, at += columns) {
    let [a, b, c, d] = [0, 0, 0, 0]
    for (let i = 0; i < columns; i += 4) {
      a += matrix[at + i]! * x[i]!
      b += matrix[at + i + 1]! * x[i + 1]!
      c += matrix[at + i + 2]! * x[i + 2]!
      d += matrix[at + i + 3]! * x[i + 3]!
    }
    out[row] = a + b + (c + d)
  }
}

export class Engine {
  readonly config: ModelConfig
  readonly #embeddings: Float32Array
  readonly #norm: Float32Array
  readonly #layers: Layer[]

  constructor(config: ModelConfig, weights: Weights) {
    this.config = config
    this.#embeddings = weights('model.embed_tokens.weight')
    this.#norm = weights('model.norm.weight')
    this.#layers = Array.from({ length: config.num_hidden_layers }, (_, i) => {
      const tensor = (name: string) => weights(`model.layers.${i}.${name}.weight`)
      return {
        attentionNorm: tensor('input_layernorm'),
        query: tensor('self_attn.q_proj'),
        key: tensor('self_attn.k_proj'),
        value: tensor('self_attn.v_proj'),
        output: tensor('self_attn.o_proj'),
        mlpNorm: tensor('post_attention_layernorm'),
        gate: tensor('mlp.gate_proj'),
        up: tensor('mlp.up_proj'),
        down: tensor('mlp.down_proj'),
      }
    })
  }

  /** A new sequence, at position 0. */
  sequence(): Sequence {
    return new Sequence(this.config, this.#embeddings, this.#norm, this.#layers)
  }
}

/** One sequence: its cache, and what its layers showed of each token. */
export class Sequence {
  /** Hidden states after each layer, [token][layer · hidden_size]. */
  readonly states: Float32Array[] = []
  readonly #config: ModelConfig
  readonly #embeddings: Float32Array
  readonly #norm: Float32Array
  readonly #layers: readonly Layer[]
  readonly #keys: Float32Array[][]
  readonly #values: Float32Array[][]

  constructor(
    config: ModelConfig,
    embeddings: Float32Array,
    norm: Float32Array,
    layers: readonly Layer[],
  ) {
    this.#config = config
    this.#embeddings = embeddings
    this.#norm = norm
    this.#layers = layers
    this.#keys = layers.map(() => [])
    this.#values = layers.map(() => [])
  }

  get length(): number {
    return this.states.length
  }

  /** Takes one token and returns the logits for the next. */
  step(token: number): Float32Array {
    const { hidden_size: size, vocab_size } = this.#config
    const x = this.#embeddings.slice(token * size, (token + 1) * size)
    const seen = new Float32Array(this.#layers.length * size)
    for (const [i, layer] of this.#layers.entries()) {
      this.#attend(x, layer, i)
      this.#feedForward(x, layer)
      seen.set(x, i * size)
    }
    this.states.push(seen)
    const logits = new Float32Array(vocab_size)
    multiply(logits, this.#embeddings, this.#normalise(x, this.#norm))
    return logits
  }

  #attend(x: Float32Array, layer: Layer, index: number): void {
    const { hidden_size: size, num_attention_heads: heads } = this.#config
    const normed = this.#normalise(x, layer.attentionNorm)
    const [query, key, value] = [layer.query, layer.key, layer.value].map((matrix) => {
      const out = new Float32Array(size)
      multiply(out, matrix, normed)
      return out
    }) as [Float32Array, Float32Array, Float32Array]
    this.#rotate(query)
    this.#rotate(key)
    const keys = this.#keys[index]!
    const values = this.#values[index]!
    keys.push(key)
    values.push(value)
    const width = size / heads
    const mixed = new Float32Array(size)
    for (let head = 0; head < size; head += width) {
      const weights = softmax(
        keys.map((other) => dot(query, other, head, width) / Math.sqrt(width)),
      )
      for (const [position, weight] of weights.entries())
        for (let i = head; i < head + width; i++) mixed[i]! += weight * values[position]![i]!
    }
    addProduct(x, layer.output, mixed)
  }

  #feedForward(x: Float32Array, layer: Layer): void {
    const normed = this.#normalise(x, layer.mlpNorm)
    const gate = new Float32Array(this.#config.intermediate_size)
    const up = new Float32Array(this.#config.intermediate_size)
    multiply(gate, layer.gate, normed)
    multiply(up, layer.up, normed)
    for (let i = 0; i < gate.length; i++) gate[i] = (gate[i]! / (1 + Math.exp(-gate[i]!))) * up[i]!
    addProduct(x, layer.down, gate)
  }

  #normalise(x: Float32Array, weight: Float32Array): Float32Array {
    let squares = 0
    for (const value of x) squares += value * value
    const scale = 1 / Math.sqrt(squares / x.length + this.#config.rms_norm_eps)
    return x.map((value, i) => value * scale * weight[i]!)
  }

  #rotate(x: Float32Array): void {
    const { hidden_size: size, num_attention_heads: heads, rope_theta } = this.#config
    const half = size / heads / 2
    for (let head = 0; head < size; head += 2 * half)
      for (let i = 0; i < half; i++) {
        const angle = this.length * rope_theta ** (-i / half)
        const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
        const [first, second] = [x[head + i]!, x[head + half + i]!]
        x[head + i] = first * cos - second * sin
        x[head + half + i] = second * cos + first * sin
      }
  }
}

function dot(a: Float32Array, b: Float32Array, from: number, count: number): number {
  let sum = 0
  for (let i = from; i < from + count; i++) sum += a[i]! * b[i]!
  return sum
}

function softmax(scores: number[]): number[] {
  const top = Math.max(...scores)
  const raised = scores.map((score) => Math.exp(score - top))
  const sum = raised.reduce((total, value) => total + value, 0)
  return raised.map((value) => value / sum)
}

function addProduct(x: Float32Array, matrix: Float32Array, y: Float32Array): void {
  const out = new Float32Array(x.length)
  multiply(out, matrix, y)
  for (let i = 0; i < x.length; i++) x[i]! += out[i]!
}
