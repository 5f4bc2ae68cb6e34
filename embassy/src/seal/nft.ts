// The one `nft -i` that lives as long as the embassy: commands go in as lines, each listing comes out as a line of JSON.
// (In text nft writes a listing in some forty pieces, and each would wake this process.)
// It believes nothing that was not read back: whoever changes something lists it in the same request.
// After any failure it is dead for good, and every later request fails; the owner opens a new one.
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { SealedError } from '@sealed/protocol'
import type { Listing } from './listing.ts'
import { startNft } from './tools.ts'

export interface Nft {
  /** Sends `lines`, resolves with as many listings as are asked for, at least one; `seal.failed` otherwise. */
  request(lines: readonly string[], listings: number): Promise<Listing[]>
  close(): Promise<void>
}

interface Pending {
  readonly listings: number
  readonly lines: readonly string[]
  readonly answer: PromiseWithResolvers<Listing[]>
}

export interface NftOptions {
  /** Network namespace of the host ends; undefined for this process's own. */
  readonly namespace: string | undefined
  readonly timeoutMs: number
}

export function openNft({ namespace, timeoutMs }: NftOptions): Nft {
  // Protocols by number (-p): for a name it would read /etc/protocols at each listing.
  const child = startNft(namespace, '-i', '-j', '-p')
  try {
    // A workload may keep every core busy; with them busy this halves the time that a seal takes.
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_HIGHEST)
  } catch {
    // Not allowed, or it has ended already: it is slower, or the first request says so.
  }
  return new Pipe(child, timeoutMs)
}

class Pipe implements Nft {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #timeoutMs: number
  readonly #queue: Pending[] = []
  readonly #exited: Promise<void>
  #timer: NodeJS.Timeout | undefined
  #text = ''
  #failure: SealedError | undefined

  constructor(child: ChildProcessWithoutNullStreams, timeoutMs: number) {
    this.#child = child
    this.#timeoutMs = timeoutMs
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => this.#read(chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => this.#fail(firstLine(chunk)))
    // A write to a process that just died: its exit tells the same.
    child.stdin.on('error', () => undefined)
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#fail(`could not be run (${error.message}); install nftables and coreutils`)
        resolve()
      })
      child.once('exit', (code, signal) => {
        this.#fail(`ended (${signal ?? `code ${code}`})`)
        resolve()
      })
    })
  }

  request(lines: readonly string[], listings: number): Promise<Listing[]> {
    if (this.#failure) return Promise.reject(this.#failure)
    const pending = { lines, listings, answer: Promise.withResolvers<Listing[]>() }
    this.#queue.push(pending)
    if (this.#queue.length === 1) this.#send(pending)
    return pending.answer.promise
  }

  async close(): Promise<void> {
    this.#child.stdin.end()
    this.#fail('was closed')
    await this.#exited
  }

  #send(pending: Pending): void {
    this.#timer = setTimeout(
      () => this.#fail(`gave no answer within ${this.#timeoutMs} ms`),
      this.#timeoutMs,
    )
    this.#child.stdin.write(`${pending.lines.join('\n')}\n`)
  }

  #read(chunk: string): void {
    this.#text += chunk
    const lines = this.#text.split('\n')
    const pending = this.#queue[0]
    if (!pending || lines.length - 1 > pending.listings)
      this.#fail('said what nobody had asked for')
    else if (lines.length - 1 === pending.listings) this.#answer(pending, lines)
  }

  #answer(pending: Pending, lines: string[]): void {
    if (lines.pop() !== '') {
      this.#fail('said more than it was asked')
      return
    }
    let listings: Listing[]
    try {
      listings = lines.map((line) => JSON.parse(line) as Listing)
    } catch {
      this.#fail('said what is not JSON')
      return
    }
    clearTimeout(this.#timer)
    this.#text = ''
    this.#queue.shift()
    pending.answer.resolve(listings)
    const next = this.#queue[0]
    if (next) this.#send(next)
  }

  #fail(reason: string): void {
    if (this.#failure) return
    this.#failure = new SealedError(
      'seal.failed',
      `the firewall process ${reason}; no replica is provably sealed until it has been replaced`,
    )
    clearTimeout(this.#timer)
    this.#child.kill('SIGKILL')
    for (const { answer } of this.#queue.splice(0)) answer.reject(this.#failure)
  }
}

const firstLine = (text: string): string => `refused: ${text.split('\n', 1)[0]}`
