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
 * out[from + r] = Σ matrix[r, c] · x[c], the matrix row-major, its columns a multiple of four. Four sums run side by side:
 * one alone would wait for each addition before the next.
 */
function multiply(out: Float32Array, matrix: Float32Array, x: Float32Array, from = 0): void {
  const columns = x.length
  for (let row = from, at = 0; at < matrix.length; row++, at += columns) {
    let a = 0
    let b = 0
    let c = 0
    let d = 0
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

/**
 * One sequence: its cache, and what its layers showed of each token. Every array that a step fills is made once: made anew
 * they would be most of what is collected, and a container's small heap collects often.
 */
export class Sequence {
  /** Hidden states after each layer, [token][layer · hidden_size]. */
  readonly states: Float32Array[] = []
  readonly #config: ModelConfig
  readonly #embeddings: Float32Array
  readonly #norm: Float32Array
  readonly #layers: readonly Layer[]
  /** Of each layer, [token · hidden_size]. */
  readonly #keys: Float32Array[]
  readonly #values: Float32Array[]
  readonly #x: Float32Array
  readonly #normed: Float32Array
  readonly #query: Float32Array
  readonly #scores: Float64Array
  readonly #mixed: Float32Array
  readonly #product: Float32Array
  readonly #gate: Float32Array
  readonly #up: Float32Array
  readonly #logits: Float32Array

  constructor(
    config: ModelConfig,
    embeddings: Float32Array,
    norm: Float32Array,
    layers: readonly Layer[],
  ) {
    const { hidden_size, intermediate_size, max_position_embeddings, vocab_size } = config
    this.#config = config
    this.#embeddings = embeddings
    this.#norm = norm
    this.#layers = layers
    const cache = () => layers.map(() => new Float32Array(max_position_embeddings * hidden_size))
    this.#keys = cache()
    this.#values = cache()
    this.#x = new Float32Array(hidden_size)
    this.#normed = new Float32Array(hidden_size)
    this.#query = new Float32Array(hidden_size)
    this.#scores = new Float64Array(max_position_embeddings)
    this.#mixed = new Float32Array(hidden_size)
    this.#product = new Float32Array(hidden_size)
    this.#gate = new Float32Array(intermediate_size)
    this.#up = new Float32Array(intermediate_size)
    this.#logits = new Float32Array(vocab_size)
  }

  get length(): number {
    return this.states.length
  }

  /** Takes one token and returns the logits for the next, which the next step overwrites. */
  step(token: number): Float32Array {
    const { hidden_size: size } = this.#config
    this.#x.set(this.#embeddings.subarray(token * size, (token + 1) * size))
    const seen = new Float32Array(this.#layers.length * size)
    for (const [i, layer] of this.#layers.entries()) {
      this.#attend(layer, i)
      this.#feedForward(layer)
      seen.set(this.#x, i * size)
    }
    this.states.push(seen)
    this.#normalise(this.#norm)
    multiply(this.#logits, this.#embeddings, this.#normed)
    return this.#logits
  }

  #attend(layer: Layer, index: number): void {
    const { hidden_size: size, num_attention_heads: heads } = this.#config
    const [query, scores, mixed] = [this.#query, this.#scores, this.#mixed]
    const [keys, values] = [this.#keys[index]!, this.#values[index]!]
    const [here, tokens, width] = [this.length * size, this.length + 1, size / heads]
    this.#normalise(layer.attentionNorm)
    multiply(query, layer.query, this.#normed)
    multiply(keys, layer.key, this.#normed, here)
    multiply(values, layer.value, this.#normed, here)
    this.#rotate(query, 0)
    this.#rotate(keys, here)
    mixed.fill(0)
    for (let head = 0; head < size; head += width) {
      for (let token = 0; token < tokens; token++)
        scores[token] = dot(query, head, keys, token * size + head, width) / Math.sqrt(width)
      softmax(scores, tokens)
      for (let token = 0; token < tokens; token++)
        for (let i = head; i < head + width; i++)
          mixed[i]! += scores[token]! * values[token * size + i]!
    }
    this.#addProduct(layer.output, mixed)
  }

  #feedForward(layer: Layer): void {
    const [gate, up] = [this.#gate, this.#up]
    this.#normalise(layer.mlpNorm)
    multiply(gate, layer.gate, this.#normed)
    multiply(up, layer.up, this.#normed)
    for (let i = 0; i < gate.length; i++) gate[i] = (gate[i]! / (1 + Math.exp(-gate[i]!))) * up[i]!
    this.#addProduct(layer.down, gate)
  }

  #normalise(weight: Float32Array): void {
    const x = this.#x
    let squares = 0
    for (let i = 0; i < x.length; i++) squares += x[i]! * x[i]!
    const scale = 1 / Math.sqrt(squares / x.length + this.#config.rms_norm_eps)
    for (let i = 0; i < x.length; i++) this.#normed[i] = x[i]! * scale * weight[i]!
  }

  /** The token at `from`, which is the latest. */
  #rotate(x: Float32Array, from: number): void {
    const { hidden_size: size, num_attention_heads: heads, rope_theta } = this.#config
    const half = size / heads / 2
    for (let head = from; head < from + size; head += 2 * half)
      for (let i = 0; i < half; i++) {
        const angle = this.length * rope_theta ** (-i / half)
        const cos = Math.cos(angle)
        const sin = Math.sin(angle)
        const first = x[head + i]!
        const second = x[head + half + i]!
        x[head + i] = first * cos - second * sin
        x[head + half + i] = second * cos + first * sin
      }
  }

  #addProduct(matrix: Float32Array, y: Float32Array): void {
    multiply(this.#product, matrix, y)
    for (let i = 0; i < this.#x.length; i++) this.#x[i]! += this.#product[i]!
  }
}

function dot(
  a: Float32Array,
  fromA: number,
  b: Float32Array,
  fromB: number,
  count: number,
): number {
  let sum = 0
  for (let i = 0; i < count; i++) sum += a[fromA + i]! * b[fromB + i]!
  return sum
}

/** Of the first so many. */
function softmax(scores: Float64Array, count: number): void {
  let top = Number.NEGATIVE_INFINITY
  for (let i = 0; i < count; i++) top = Math.max(top, scores[i]!)
  let sum = 0
  for (let i = 0; i < count; i++) {
    scores[i] = Math.exp(scores[i]! - top)
    sum += scores[i]!
  }
  for (let i = 0; i < count; i++) scores[i]! /= sum
}
