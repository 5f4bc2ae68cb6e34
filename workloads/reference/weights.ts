// Reads the model's weights: one safetensors file of F16 tensors, widened to 32-bit floats once, at start.

export type Weights = (name: string) => Float32Array

/** Opens a whole file; the returned function gives a tensor by name and throws where there is none. */
export function loadWeights(file: Buffer): Weights {
  const halves = loadHalves(file)
  return (name) => widen(halves(name))
}

/** The same, with the tensors' bytes as they lie in the file: numbers in half precision, row by row. */
export function loadHalves(file: Buffer): (name: string) => Buffer {
  const start = 8 + Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >
  return (name) => {
    const entry = header[name]
    if (entry?.dtype !== 'F16') throw new Error(`the weights hold no F16 tensor ${name}`)
    const [from, to] = entry.data_offsets
    return file.subarray(start + from, start + to)
  }
}

function widen(bytes: Buffer): Float32Array {
  const out = new Float32Array(bytes.length / 2)
  for (let i = 0; i < out.length; i++) {
    const bits = bytes.readUInt16LE(2 * i)
    const exponent = (bits >> 10) & 31
    if (exponent === 31) throw new Error(`the weights hold a value that is not finite, at ${i}`)
    const fraction = bits & 1023
    const magnitude =
      exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
    out[i] = bits & 0x8000 ? -magnitude : magnitude
  }
  return out
}
