// What ties the database to its TPM: a counter that rises with each checkpoint, and a hash chain over everything that was
// begun or closed. Both are written here before the TPM moves, so that after a cut the TPM is behind by one step at most.
import { hash } from 'node:crypto'
import { canonicalize, type Statement } from '@sealed/protocol'
import { getMeta, type Statements, setMeta } from './rows.ts'

export interface Anchors {
  /** What the TPM's counter is, or is about to be. */
  counter: bigint
  /** What the TPM's chain is, or is about to be, by `link` from `before`. */
  chain: Uint8Array
  before: Uint8Array
  link: Uint8Array
}

const sha256 = (...parts: Uint8Array[]): Buffer => hash('sha256', Buffer.concat(parts), 'buffer')

export function readAnchors(sql: Statements): Anchors | undefined {
  const counter = getMeta<string>(sql, 'anchors.counter')
  if (counter === undefined) return undefined
  const bytes = (key: string) => Uint8Array.from(getMeta<Buffer>(sql, key)!)
  return {
    counter: BigInt(counter),
    chain: bytes('anchors.chain'),
    before: bytes('anchors.before'),
    link: bytes('anchors.link'),
  }
}

/** Takes counter and chain as the TPM has them; nothing is under way. */
export function beginAnchors(sql: Statements, counter: bigint, chain: Uint8Array): void {
  setMeta(sql, 'anchors.counter', String(counter))
  for (const key of ['chain', 'before']) setMeta(sql, `anchors.${key}`, Buffer.from(chain))
  setMeta(sql, 'anchors.link', Buffer.alloc(0))
}

export function raiseCounter(sql: Statements): bigint {
  const counter = BigInt(getMeta<string>(sql, 'anchors.counter')!) + 1n
  setMeta(sql, 'anchors.counter', String(counter))
  return counter
}

/** Writes down the chain's next value; returns what the TPM is to extend its own by. */
export function extendChain(
  sql: Statements,
  step: { opened: readonly { id: string; statements: Statement[] }[]; body?: string },
): Uint8Array {
  const { opened, body } = step
  const digest = (text: string) => hash('sha256', text)
  const link = hash(
    'sha256',
    canonicalize({
      ...(body !== undefined && { checkpoint: digest(body) }),
      opened: opened.map(({ id, statements }) => ({
        digest: digest(canonicalize(statements)),
        id,
      })),
      version: 1,
    }),
    'buffer',
  )
  const before = getMeta<Buffer>(sql, 'anchors.chain')!
  setMeta(sql, 'anchors.before', before)
  setMeta(sql, 'anchors.link', link)
  setMeta(sql, 'anchors.chain', sha256(before, link))
  return Uint8Array.from(link)
}
