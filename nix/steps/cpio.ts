// An initial file system in the kernel's "newc" form: same entries, same bytes.

export interface CpioEntry {
  path: string
  /** With the type in it, as in `stat`. */
  mode: number
  content: Uint8Array
}

export const FOLDER = 0o040755
export const PROGRAM = 0o100755
export const FILE = 0o100644

const hex = (value: number) => value.toString(16).padStart(8, '0')
const padded = (bytes: Uint8Array) => [bytes, Buffer.alloc(-bytes.length & 3)]

export const writeCpio = (entries: readonly CpioEntry[]): Buffer =>
  Buffer.concat(
    [...entries, { path: 'TRAILER!!!', mode: 0, content: Buffer.alloc(0) }].flatMap(record),
  )

function record({ path, mode, content }: CpioEntry, index: number): Uint8Array[] {
  const name = Buffer.from(`${path}\0`)
  // inode, mode, uid, gid, links, time, size, device, device of the file itself, length of the name, no checksum
  const fields = [index + 1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0]
  return [
    ...padded(Buffer.concat([Buffer.from(`070701${fields.map(hex).join('')}`), name])),
    ...padded(content),
  ]
}
