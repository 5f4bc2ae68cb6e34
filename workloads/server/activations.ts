// Hands activations over: one safetensors file a request, written aside and renamed, before the answer ends.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Activations {
  requestId: string
  model: string
  modelSha256: string
  promptTokens: number
  tokens: number
  layers: number
  hidden: number
  /** [tokens, layers, hidden], row-major. */
  states: Float32Array
}

/** The bytes of a safetensors file with the one tensor `hidden_states`. */
export function safetensors(activations: Activations): Buffer {
  const { tokens, layers, hidden, states } = activations
  const header = Buffer.from(
    JSON.stringify({
      __metadata__: {
        request_id: activations.requestId,
        model: activations.model,
        model_sha256: activations.modelSha256,
        prompt_tokens: String(activations.promptTokens),
        layers: String(layers),
      },
      hidden_states: {
        dtype: 'F32',
        shape: [tokens, layers, hidden],
        data_offsets: [0, states.byteLength],
      },
    }),
  )
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([
    length,
    header,
    Buffer.from(states.buffer, states.byteOffset, states.byteLength),
  ])
}

/** Writes the file into `ACTIVATIONS_DIR`; does nothing where that is not set. */
export function handOver(activations: Activations): void {
  const directory = process.env.ACTIVATIONS_DIR
  if (!directory) return
  const path = join(directory, `${activations.requestId}.safetensors`)
  writeFileSync(`${path}.part`, safetensors(activations))
  renameSync(`${path}.part`, path)
}
