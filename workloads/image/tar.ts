// Writes ustar archives that depend on their entries alone: sorted by the caller, no owner names, no times.

export interface Entry {
  /** Path without a leading slash. */
  path: string
  mode: number
  type: 'file' | 'directory'
  content: Uint8Array
}

const BLOCK = 512

/** The chunks of one archive, end blocks included. */
export function* tar(entries: Iterable<Entry>): Generator<Uint8Array> {
  for (const entry of entries) {
    yield header(entry)
    if (entry.type === 'directory') continue
    yield entry.content
    const rest = entry.content.length % BLOCK
    if (rest > 0) yield new Uint8Array(BLOCK - rest)
  }
  yield new Uint8Array(2 * BLOCK)
}

function header({ path, mode, type, content }: Entry): Uint8Array {
  const block = Buffer.alloc(BLOCK)
  const name = type === 'directory' ? `${path}/` : path
  if (Buffer.byteLength(name) > 100)
    throw new Error(`${name} is over the 100 bytes of a tar header`)
  const octal = (value: number, at: number, width: number) =>
    block.write(value.toString(8).padStart(width - 1, '0'), at, 'ascii')
  block.write(name, 0)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(type === 'file' ? content.length : 0, 124, 12)
  octal(0, 136, 12)
  block.fill(0x20, 148, 156)
  block.write(type === 'file' ? '0' : '5', 156)
  block.write('ustar\u000000', 257, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}
