// Reads one safetensors file that an untrusted workload wrote: every number is bounded before it is used, and what is
// not finite is refused (an infinite activation could forge a perfect match).
import { SealedError } from '@sealed/protocol'

const MAX_HEADER_BYTES = 1024 * 1024
const WIDTH = { F32: 4, F16: 2, BF16: 2 } as const
type Dtype = keyof typeof WIDTH

interface Tensor {
  dtype: Dtype
  shape: number[]
  bytes: Uint8Array
}

/** Hidden states of one request: one matrix [tokens, hidden] per layer, not yet copied out of the file. */
export interface HiddenStates {
  tokens: number
  layers: number
  hidden: number
  /** Row `token` of layer `layer`, as 32-bit floats. Throws `activations.invalid` on NaN or infinity. */
  row(layer: number, token: number): Float32Array
}

const bad = (message: string) => new SealedError('activations.invalid', `activations: ${message}`)

/** Parses a whole file in the layout `hidden_states` [tokens, layers, hidden] or `layer.<i>` [tokens, hidden]. */
export function parseHiddenStates(file: Uint8Array): HiddenStates {
  const tensors = parseTensors(file)
  const whole = tensors.get('hidden_states')
  if (whole) {
    const [tokens, layers, hidden] = dimensions(whole, 3, 'hidden_states') as [
      number,
      number,
      number,
    ]
    return {
      tokens,
      layers,
      hidden,
      row: (layer, token) => floats(whole, (token * layers + layer) * hidden, hidden),
    }
  }
  const byLayer: Tensor[] = []
  for (let i = 0; tensors.has(`layer.${i}`); i++) byLayer.push(tensors.get(`layer.${i}`)!)
  const first = byLayer[0]
  if (!first) throw bad('neither hidden_states nor layer.0 is in the file')
  const [tokens, hidden] = dimensions(first, 2, 'layer.0') as [number, number]
  for (const [i, tensor] of byLayer.entries()) {
    const width = dimensions(tensor, 2, `layer.${i}`)[1]
    if (width !== hidden) throw bad(`layer.${i} has another width than layer.0`)
  }
  return {
    tokens,
    layers: byLayer.length,
    hidden,
    row(layer, token) {
      const tensor = byLayer[layer]!
      // An engine may prune its last layers to the rows it needs: those rows are the last ones.
      const missing = tokens - tensor.shape[0]!
      return floats(tensor, Math.max(0, token - missing) * hidden, hidden)
    },
  }
}

/** True when the file is whole, judged by its own header, without trusting its name. */
export function isComplete(file: Uint8Array): boolean {
  if (file.length < 8) return false
  const length = headerLength(file)
  if (file.length < 8 + length) return false
  try {
    parseTensors(file)
    return true
  } catch {
    return false
  }
}

function headerLength(file: Uint8Array): number {
  const length = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true)
  if (length > MAX_HEADER_BYTES)
    throw bad(`header of ${length} bytes; at most ${MAX_HEADER_BYTES} allowed`)
  return Number(length)
}

function parseTensors(file: Uint8Array): Map<string, Tensor> {
  if (file.length < 8) throw bad('file is shorter than its length field')
  const start = 8 + headerLength(file)
  if (file.length < start) throw bad('file is cut within its header')
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(8, start)))
  } catch {
    throw bad('header is not JSON')
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw bad('header is no object')
  const tensors = new Map<string, Tensor>()
  let end = 0
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    if (typeof entry !== 'object' || entry === null) throw bad(`${name}: malformed entry`)
    const { dtype, shape, data_offsets: offsets } = entry as Record<string, unknown>
    if (!isIntegers(shape) || !isIntegers(offsets) || offsets.length !== 2)
      throw bad(`${name}: malformed entry`)
    const [from, to] = offsets as [number, number]
    if (from > to || start + to > file.length) throw bad(`${name}: lies outside the file`)
    end = Math.max(end, to)
    if (name !== 'hidden_states' && !/^layer\.\d{1,3}$/.test(name)) continue
    if (typeof dtype !== 'string' || !(dtype in WIDTH))
      throw bad(`${name}: dtype must be F32, F16 or BF16`)
    const size = shape.reduce((product, n) => product * n, WIDTH[dtype as Dtype])
    if (size !== to - from) throw bad(`${name}: shape and size differ`)
    tensors.set(name, {
      dtype: dtype as Dtype,
      shape,
      bytes: file.subarray(start + from, start + to),
    })
  }
  if (start + end !== file.length) throw bad('file and header disagree about its length')
  return tensors
}

const isIntegers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= 8 && value.every((n) => Number.isSafeInteger(n) && n >= 0)

function dimensions(tensor: Tensor, rank: number, name: string): number[] {
  if (tensor.shape.length !== rank || tensor.shape.some((n) => n === 0))
    throw bad(`${name}: shape must have ${rank} dimensions, none of them zero`)
  return tensor.shape
}

function floats(tensor: Tensor, at: number, count: number): Float32Array {
  const out = new Float32Array(count)
  const view = new DataView(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.byteLength)
  for (let i = 0; i < count; i++) {
    const value = READ[tensor.dtype](view, at + i)
    if (!Number.isFinite(value)) throw bad('a value is not finite')
    out[i] = value
  }
  return out
}

const scratch = new DataView(new ArrayBuffer(4))
const READ: Record<Dtype, (view: DataView, index: number) => number> = {
  F32: (view, i) => view.getFloat32(4 * i, true),
  BF16: (view, i) => {
    scratch.setUint32(0, view.getUint16(2 * i, true) << 16)
    return scratch.getFloat32(0)
  },
  F16: (view, i) => {
    const bits = view.getUint16(2 * i, true)
    const exponent = (bits >> 10) & 31
    const fraction = bits & 1023
    const sign = bits & 0x8000 ? -1 : 1
    if (exponent === 31) return Number.NaN
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25))
  },
}
