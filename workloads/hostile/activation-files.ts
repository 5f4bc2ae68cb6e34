// Workloads whose activations are wrong, late, several or none, and three good layouts beside the usual one. The answer
// itself is good in all of them.
import { mkdirSync, renameSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Activations, encode, safetensors } from '../server/activations.ts'
import type { Call } from '../server/openai-server.ts'
import { activationsOf, answerWell, type Behaviour, number } from './behaviour.ts'
import { bf16, f16, layers } from './layouts.ts'

interface Drop {
  path: string
  good: Activations
  options: Parameters<Behaviour>[1]
}

const put = (path: string, bytes: Uint8Array): void => {
  writeFileSync(`${path}.part`, bytes)
  renameSync(`${path}.part`, path)
}

/** What happens after the answer may find the directory full or gone; that is no reason to die. */
function tryTo(write: () => void): void {
  try {
    write()
  } catch (error) {
    process.stderr.write(`${String(error)}\n`)
  }
}

const withValue =
  (value: number) =>
  ({ path, good }: Drop) => {
    const states = good.states.slice()
    // In the middle layer's row of the second token, where a reader that samples would miss it.
    states[(good.shape[1] + Math.floor(good.shape[1] / 2)) * good.shape[2] + 7] = value
    put(path, safetensors({ ...good, states }))
  }

/** The good data under a header that says `tensor` of it. */
const headed =
  (tensor: object) =>
  ({ path, good }: Drop) => {
    const data = new Uint8Array(good.states.buffer)
    const entry = { dtype: 'F32', shape: good.shape, data_offsets: [0, data.length], ...tensor }
    put(path, encode({ hidden_states: entry }, [data], {}))
  }

const cut =
  (bytes: number) =>
  ({ path, good }: Drop) =>
    put(path, safetensors(good).subarray(0, bytes))

/** Everything that is in place when the answer ends. */
const FILES: Readonly<Record<string, (drop: Drop) => void>> = {
  none: () => undefined,
  nan: withValue(Number.NaN),
  infinity: withValue(Number.POSITIVE_INFINITY),
  zero: ({ path, good }) =>
    put(path, safetensors({ ...good, states: new Float32Array(good.states.length) })),
  'wrong-shape': headed({ shape: [4, 4, 31] }),
  'wrong-rank': headed({ shape: [16, 32] }),
  'empty-shape': headed({ shape: [0, 4, 32], data_offsets: [0, 0] }),
  'overflowing-shape': headed({ shape: [2 ** 32, 2 ** 32, 2 ** 32] }),
  'wrong-dtype': headed({ dtype: 'I32' }),
  'outside-file': headed({ data_offsets: [0, 2 ** 40] }),
  'backward-offsets': headed({ data_offsets: [2048, 0] }),
  truncated: cut(-16),
  'truncated-header': cut(40),
  empty: cut(0),
  'huge-header': ({ path }) => {
    const bytes = Buffer.alloc(64)
    bytes.writeBigUInt64LE(2n ** 62n)
    put(path, bytes)
  },
  'not-safetensors': ({ path }) => put(path, Buffer.from('these are no activations at all')),
  'trailing-bytes': ({ path, good }) =>
    put(path, Buffer.concat([safetensors(good), Buffer.alloc(8)])),
  'part-only': ({ path, good }) => writeFileSync(`${path}.part`, safetensors(good)),
  'two-files': ({ path, good }) => {
    put(path, safetensors(good))
    put(path.replace('.safetensors', '-b.safetensors'), safetensors(good))
  },
  'many-files': ({ path, options }) => {
    for (let i = 0; i < number(options, 'count', 1000); i++) writeFileSync(`${path}.${i}`, '')
  },
  symlink: ({ path, options }) => symlinkSync(String(options.target ?? '/etc/passwd'), path),
  directory: ({ path }) => mkdirSync(path),
  /** A sparse file of `bytes` (1 GiB). */
  huge: ({ path, good, options }) => {
    put(path, safetensors(good))
    truncateSync(path, number(options, 'bytes', 2 ** 30))
  },
  /** As vLLM leaves it while it writes: in place, half done, under a lock file. */
  locked: ({ path, good }) => {
    writeFileSync(`${path}.lock`, '')
    writeFileSync(path, safetensors(good).subarray(0, -16))
  },
  'good-bf16': ({ path, good }) => put(path, bf16(good)),
  'good-f16': ({ path, good }) => put(path, f16(good)),
  'good-layers': ({ path, good }) => put(path, layers(good)),
}

const drop = (call: Call, options: Drop['options']): Drop => {
  const id = `hostile-${process.hrtime.bigint()}`
  const directory = process.env.ACTIVATIONS_DIR ?? '/activations'
  return { path: join(directory, `${id}.safetensors`), good: activationsOf(call, id), options }
}

/** Named `activations-<what is wrong with them>`. */
export const ACTIVATION_FILES: Readonly<Record<string, Behaviour>> = {
  ...Object.fromEntries(
    Object.entries(FILES).map(([name, write]): [string, Behaviour] => [
      `activations-${name}`,
      (call, options) => {
        write(drop(call, options))
        answerWell(call)
      },
    ]),
  ),

  /** Good activations, `ms` (1,000) after the last byte of the answer. */
  'activations-late'(call, options) {
    const { path, good } = drop(call, options)
    setTimeout(
      () => tryTo(() => put(path, safetensors(good))),
      number(options, 'ms', 1_000),
    ).unref()
    answerWell(call)
  },

  /** Good activations that are overwritten in place again and again for `ms` (1,000). */
  'activations-changing'(call, options) {
    const { path, good } = drop(call, options)
    const other = { ...good, states: good.states.map((value) => -value) }
    put(path, safetensors(good))
    let turn = 0
    const change = setInterval(() => {
      tryTo(() => writeFileSync(path, safetensors(turn++ % 2 === 0 ? other : good)))
    }, 1)
    setTimeout(() => clearInterval(change), number(options, 'ms', 1_000)).unref()
    answerWell(call)
  },
}
