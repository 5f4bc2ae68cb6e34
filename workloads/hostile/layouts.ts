// The layouts of activations that servers in the field write and the demo model does not.
import { type Activations, encode } from '../server/activations.ts'

/** `hidden_states` in BF16: what vLLM writes for most models. Cut, not rounded. */
export function bf16({ shape, states }: Activations): Buffer {
  const bits = new Uint32Array(states.buffer, states.byteOffset, states.length)
  return half(
    'BF16',
    shape,
    Uint16Array.from(bits, (value) => value >>> 16),
  )
}

/** `hidden_states` in F16. */
export function f16({ shape, states }: Activations): Buffer {
  return half('F16', shape, Uint16Array.from(states, toF16))
}

/** `layer.<i>` [tokens, hidden], one tensor a layer: engines that prune their last layer. */
export function layers({ shape: [tokens, count, hidden], states }: Activations): Buffer {
  const tensors: Record<string, object> = {}
  const blobs: Uint8Array[] = []
  const size = 4 * tokens * hidden
  for (let layer = 0; layer < count; layer++) {
    const rows = new Float32Array(tokens * hidden)
    for (let token = 0; token < tokens; token++) {
      const at = (token * count + layer) * hidden
      rows.set(states.subarray(at, at + hidden), token * hidden)
    }
    blobs.push(new Uint8Array(rows.buffer))
    tensors[`layer.${layer}`] = {
      dtype: 'F32',
      shape: [tokens, hidden],
      data_offsets: [layer * size, (layer + 1) * size],
    }
  }
  return encode(tensors, blobs, {})
}

function half(dtype: string, shape: Activations['shape'], values: Uint16Array): Buffer {
  const entry = { dtype, shape, data_offsets: [0, values.byteLength] }
  return encode({ hidden_states: entry }, [new Uint8Array(values.buffer)], {})
}

/** For values within ±0.5, as stand-in states are; what is too small for a normal number becomes zero. */
function toF16(value: number): number {
  const sign = value < 0 ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude < 2 ** -14) return sign
  const exponent = Math.floor(Math.log2(magnitude))
  const fraction = Math.floor((magnitude / 2 ** exponent - 1) * 1024)
  return sign | ((exponent + 15) << 10) | fraction
}
