// What the CLI touches of the world, as one value, so that a test can run it whole inside its own process.
import { styleText } from 'node:util'
import { type Bytes, concat } from '@sealed/protocol'
import type { Fetch } from '../gateway.ts'

export interface Io {
  stdin: NodeJS.ReadableStream & { isTTY?: boolean }
  stdout: NodeJS.WritableStream & { isTTY?: boolean }
  stderr: NodeJS.WritableStream & { isTTY?: boolean }
  env: Record<string, string | undefined>
  cwd: string
  fetch?: Fetch
  /** Set by `bin/insecure.ts` alone: machines are asked whatever their verdict is. */
  insecure?: boolean
  now: () => number
  /** Resolves when the user has had enough; a second Ctrl-C ends the process at once. */
  interrupted: () => Promise<void>
}

export const processIo = (): Io => ({
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  now: Date.now,
  interrupted: () =>
    new Promise((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
    }),
})

export async function readStdin(io: Io): Promise<Bytes> {
  const parts: Uint8Array[] = []
  for await (const part of io.stdin) parts.push(typeof part === 'string' ? Buffer.from(part) : part)
  return concat(...parts)
}

export type Style = 'green' | 'red' | 'yellow' | 'dim' | 'bold'
export type Paint = (style: Style, text: string) => string

/** Colours for one stream: only on a terminal, and not where NO_COLOR (no-color.org) asks for none. */
export function painter(io: Io, stream: 'stdout' | 'stderr'): Paint {
  const coloured = io[stream].isTTY === true && !io.env.NO_COLOR && io.env.TERM !== 'dumb'
  return (style, text) => (coloured ? styleText(style, text, { validateStream: false }) : text)
}

/**
 * Text that came from elsewhere, made harmless for a terminal: no control characters save line feed and tab, and
 * none that reorder text.
 */
export const plain = (text: string): string =>
  text.replace(/[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')

/** The same on one line. */
export const plainLine = (text: string): string => plain(text).replace(/[\n\t]/g, ' ')

export const printJson = (io: Io, value: unknown): void => {
  io.stdout.write(`${JSON.stringify(value)}\n`)
}
