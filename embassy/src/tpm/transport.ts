// How bytes reach a TPM: swtpm's Unix socket, or the kernel's resource manager.
// One command at a time; a transport that failed once is never used again.
import { type FileHandle, open, stat } from 'node:fs/promises'
import { createConnection, type Socket } from 'node:net'
import { SealedError } from '@sealed/protocol'

export interface Transport {
  /** False once it failed, also while nothing was asked: then a new connection costs no command. */
  readonly isOpen: boolean
  /** Sends one command and gives the whole response. Rejects with a plain Error that says what broke. */
  transmit(command: Uint8Array): Promise<Uint8Array>
  /** Drops the connection; a command under way fails. */
  close(): void
}

/** No TPM answers more than this; a size beyond it is a broken stream, not a response. */
const LARGEST = 4096
const HEADER = 10

/** Opens a character device or a Unix socket; `tpm.failed` when the path is neither. */
export async function openTransport(path: string): Promise<Transport> {
  const kind = await stat(path)
  if (kind.isSocket()) return openSocket(path)
  if (kind.isCharacterDevice()) return openDevice(path)
  throw new SealedError('tpm.failed', `${path} is neither a character device nor a Unix socket`)
}

async function openSocket(path: string): Promise<Transport> {
  const socket = createConnection({ path })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return new SocketTransport(socket)
}

class SocketTransport implements Transport {
  readonly #socket: Socket
  #waiting: PromiseWithResolvers<Uint8Array> | undefined
  #received: Buffer = Buffer.alloc(0)
  #broken: Error | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#take(chunk))
    socket.on('error', (error) => this.#break(error))
    socket.on('close', () => {
      const got = this.#received.length
      this.#break(new Error(`the TPM hung up${got ? ` ${got} bytes into its response` : ''}`))
    })
  }

  get isOpen(): boolean {
    return this.#broken === undefined
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    if (this.#broken) return Promise.reject(this.#broken)
    this.#waiting = Promise.withResolvers()
    this.#socket.write(command)
    return this.#waiting.promise
  }

  close(): void {
    this.#break(new Error('the connection to the TPM was closed'))
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length ? Buffer.concat([this.#received, chunk]) : chunk
    const size = this.#received.length < HEADER ? HEADER : this.#received.readUInt32BE(2)
    const fault = this.#faultOf(size)
    if (fault) this.#break(new Error(fault))
    if (fault || this.#received.length < size) return
    const response = new Uint8Array(this.#received)
    const waiting = this.#waiting
    this.#waiting = undefined
    this.#received = Buffer.alloc(0)
    waiting?.resolve(response)
  }

  #faultOf(size: number): string | undefined {
    if (!this.#waiting) return 'the TPM spoke without being asked'
    if (size < HEADER || size > LARGEST) return `the TPM announced a response of ${size} bytes`
    // Bytes beyond a response would be taken for the start of the next one.
    if (this.#received.length > size) return 'the TPM sent more than it announced'
    return undefined
  }

  #break(error: Error): void {
    this.#broken ??= error
    this.#waiting?.reject(this.#broken)
    this.#waiting = undefined
    this.#socket.destroy()
  }
}

/** Devices that were given up while a command was under way in the driver. */
const hanging = new Set<string>()

async function openDevice(path: string): Promise<Transport> {
  // Each hung call keeps one of the few threads that all file access of this process shares.
  if (hanging.has(path)) throw new Error(`an earlier command still hangs in ${path}`)
  const file = await open(path, 'r+')
  let busy = false
  return {
    isOpen: true,
    async transmit(command) {
      busy = true
      try {
        return await exchange(file, path, command)
      } finally {
        busy = false
        hanging.delete(path)
      }
    },
    close() {
      if (busy) hanging.add(path)
      // Waits by itself for a call that is under way: the driver bounds how long that can take.
      file.close().catch(() => undefined)
    },
  }
}

/** The driver takes a whole command in one write, runs it, and then has its response to read. */
async function exchange(file: FileHandle, path: string, command: Uint8Array): Promise<Uint8Array> {
  const { bytesWritten } = await file.write(command, 0, command.length, null)
  if (bytesWritten !== command.length)
    throw new Error(`${path} took ${bytesWritten} of ${command.length} bytes`)
  const buffer = new Uint8Array(LARGEST)
  const view = new DataView(buffer.buffer)
  let size = HEADER
  let received = 0
  while (received < size) {
    const { bytesRead } = await file.read(buffer, received, LARGEST - received, null)
    received += bytesRead
    if (received >= HEADER) size = view.getUint32(2)
    if (bytesRead === 0 || size < HEADER || size > LARGEST || received > size)
      throw new Error(`${path} gave ${received} bytes of a response of ${size}`)
  }
  return buffer.slice(0, size)
}
