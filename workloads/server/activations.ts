// Hands activations over: one safetensors file a request, written aside and renamed, before the answer ends. Never
// leaves a part behind: the directory is small and shared with the embassy.
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Activations {
  requestId: string
  model: string
  modelSha256: string
  promptTokens: number
  /** [tokens, layers, hidden], row-major. */
  shape: readonly [tokens: number, layers: number, hidden: number]
  states: Float32Array
  /** Prompt, then output. */
  tokenIds?: readonly number[]
}

/** The bytes of a safetensors file: `hidden_states` F32 and, where given, `token_ids` I64; vLLM's names and layout. */
export function safetensors(activations: Activations): Buffer {
  const { shape, states, tokenIds } = activations
  const blobs = [Buffer.from(states.buffer, states.byteOffset, states.byteLength)]
  const tensors: Record<string, object> = {
    hidden_states: { dtype: 'F32', shape, data_offsets: [0, states.byteLength] },
  }
  if (tokenIds) {
    const end = states.byteLength + 8 * tokenIds.length
    blobs.push(Buffer.from(BigInt64Array.from(tokenIds, BigInt).buffer))
    tensors.token_ids = {
      dtype: 'I64',
      shape: [tokenIds.length],
      data_offsets: [states.byteLength, end],
    }
  }
  return encode(tensors, blobs, {
    request_id: activations.requestId,
    model: activations.model,
    model_sha256: activations.modelSha256,
    prompt_tokens: String(activations.promptTokens),
    layers: String(shape[1]),
  })
}

/** Header length, header and data as safetensors has them; what the header says is not checked. */
export function encode(
  tensors: Readonly<Record<string, object>>,
  blobs: readonly Uint8Array[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  let header = JSON.stringify({ __metadata__: metadata, ...tensors })
  header += ' '.repeat((8 - (Buffer.byteLength(header) % 8)) % 8)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)))
  return Buffer.concat([length, Buffer.from(header), ...blobs])
}

/** Writes the file into `ACTIVATIONS_DIR`; does nothing where that is not set. */
export function handOver(activations: Activations): void {
  const directory = process.env.ACTIVATIONS_DIR
  if (!directory) return
  const path = join(directory, `${activations.requestId}.safetensors`)
  try {
    writeFileSync(`${path}.part`, safetensors(activations))
    renameSync(`${path}.part`, path)
  } catch (error) {
    rmSync(`${path}.part`, { force: true })
    throw error
  }
}
