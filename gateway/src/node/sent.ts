// When an answer has left, and what of it: counted where the bytes go by, without holding or reading any.
import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { Sent } from '../deps.ts'

/** Calls `done` once, when the answer has been handed to the system whole or its connection is gone. */
export function whenSent(c: Context, done: (sent: Sent) => void): void {
  const { outgoing } = c.env as HttpBindings
  watch(outgoing as ServerResponse, done)
}

export function watch(outgoing: ServerResponse, done: (sent: Sent) => void): void {
  let bytesOut = 0
  let session: string | undefined
  const count = (chunk: unknown) => {
    if (typeof chunk === 'string') bytesOut += Buffer.byteLength(chunk)
    else if (chunk instanceof Uint8Array) bytesOut += chunk.length
  }
  const { end, write, writeHead } = outgoing as unknown as Record<
    'end' | 'write' | 'writeHead',
    (...args: unknown[]) => unknown
  >
  Object.assign(outgoing, {
    write: (...args: unknown[]) => {
      count(args[0])
      return write.apply(outgoing, args)
    },
    end: (...args: unknown[]) => {
      count(args[0])
      return end.apply(outgoing, args)
    },
    writeHead: (...args: unknown[]) => {
      session = sessionOf(args.at(-1))
      return writeHead.apply(outgoing, args)
    },
  })
  outgoing.once('close', () =>
    done({
      status: outgoing.statusCode,
      bytesOut,
      isWhole: outgoing.writableFinished,
      ...(session !== undefined && { session }),
    }),
  )
}

/** The answer's session, where it has one. */
function sessionOf(headers: unknown): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined
  const value: OutgoingHttpHeader | undefined = (headers as OutgoingHttpHeaders)[
    'sealed-receipt-id'
  ]
  return typeof value === 'string' ? value : undefined
}
