// What ties the database to its TPM: a counter that rises with each checkpoint, and a hash chain over everything that was
// begun or closed and over what the database then held. Both are written here before the TPM moves, so that after a cut
// the TPM is behind by one step at most.
import { hash } from 'node:crypto'
import { canonicalize, SealedError } from '@sealed/protocol'
import { type Begun, openDigest } from './open-sessions.ts'
import { getMeta, removeMeta, type Statements, setMeta } from './rows.ts'

export interface Anchors {
  /** What the TPM's counter is, or is about to be. */
  counter: bigint
  /** What the TPM's chain is, or is about to be, by `link` from `before`. */
  chain: Uint8Array
  before: Uint8Array
  link: Uint8Array
  /** Sessions that the last step began: while the TPM has not taken it, nothing of them was revealed. */
  opened: string[]
}

/** What the last checkpoint is of. */
export interface Head {
  origin: string
  root: string
  size: number
  state: string
}

interface Said {
  checkpoint?: string
  head?: Head
  /** Digest over all sessions that were open after the step. */
  open: string
  opened: { digest: string; id: string }[]
  version: 1
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
    opened: said(sql)?.opened.map(({ id }) => id) ?? [],
  }
}

/** Takes counter and chain as the TPM has them; nothing is under way. */
export function beginAnchors(sql: Statements, counter: bigint, chain: Uint8Array): void {
  setMeta(sql, 'anchors.counter', String(counter))
  for (const key of ['chain', 'before']) setMeta(sql, `anchors.${key}`, Buffer.from(chain))
  setMeta(sql, 'anchors.link', Buffer.alloc(0))
  removeMeta(sql, 'anchors.said', 'anchors.prior', 'anchors.prior_said')
}

export function raiseCounter(sql: Statements): bigint {
  const counter = BigInt(getMeta<string>(sql, 'anchors.counter')!) + 1n
  setMeta(sql, 'anchors.counter', String(counter))
  return counter
}

/** Notes what the checkpoint of this step is of. */
export const setHead = (sql: Statements, head: Head): void =>
  setMeta(sql, 'checkpoint.head', canonicalize({ ...head }))

/** Writes down the chain's next value; `open` is the digest over what is open then. Returns what the TPM is to extend its own by. */
export function extendChain(
  sql: Statements,
  step: { open: string; opened: readonly Begun[]; body?: string },
): Uint8Array {
  const { body, open, opened } = step
  const digest = (text: string) => hash('sha256', text)
  const head = getMeta<string>(sql, 'checkpoint.head')
  const text = canonicalize({
    ...(body !== undefined && { checkpoint: digest(body) }),
    ...(head !== undefined && { head: JSON.parse(head) as Head }),
    open,
    opened: opened.map(({ id, text }) => ({ digest: digest(text), id })),
    version: 1,
  })
  const link = hash('sha256', text, 'buffer')
  const before = getMeta<Buffer>(sql, 'anchors.chain')!
  const last = getMeta<string>(sql, 'anchors.said')
  if (last !== undefined) {
    setMeta(sql, 'anchors.prior', getMeta<Buffer>(sql, 'anchors.before')!)
    setMeta(sql, 'anchors.prior_said', last)
  }
  setMeta(sql, 'anchors.said', text)
  setMeta(sql, 'anchors.before', before)
  setMeta(sql, 'anchors.link', link)
  setMeta(sql, 'anchors.chain', sha256(before, link))
  return Uint8Array.from(link)
}

/**
 * What the last link of the chain says that the database holds; undefined before the first. Throws `state.rollback` when
 * text, link and chain do not belong together, or the open sessions are not those that it names.
 */
export function checkSaid(sql: Statements): Head | undefined {
  const anchors = readAnchors(sql)
  if (!anchors) return undefined
  const { before, chain, link } = anchors
  // A chain at its start has no link; with any other value, one that is missing was taken away.
  if (link.length === 0 && chain.every((byte) => byte === 0)) return undefined
  const text = getMeta<string>(sql, 'anchors.said') ?? ''
  if (!sha256(before, link).equals(chain) || !hash('sha256', text, 'buffer').equals(link))
    throw altered('the last step is not the one in the TPM’s chain')
  const { head, open } = JSON.parse(text) as Said
  if (open !== openDigest(sql)) throw altered('open sessions are not those of the last step')
  return head
}

/**
 * What the step before the last said, which the TPM's chain is at while it has not taken the last; undefined where there
 * was none. Throws `state.rollback` when it is not the one in the chain.
 */
export function priorHead(sql: Statements): Head | undefined {
  const { before } = readAnchors(sql)!
  const prior = getMeta<Buffer>(sql, 'anchors.prior')
  const text = getMeta<string>(sql, 'anchors.prior_said') ?? ''
  const isStart = before.every((byte) => byte === 0)
  if (!prior && isStart) return undefined
  if (!prior || !sha256(prior, hash('sha256', text, 'buffer')).equals(before))
    throw altered('the step before the last is not the one in the TPM’s chain')
  return (JSON.parse(text) as Said).head
}

const said = (sql: Statements): Said | undefined => {
  const text = getMeta<string>(sql, 'anchors.said')
  return text === undefined ? undefined : (JSON.parse(text) as Said)
}

export const altered = (what: string) =>
  new SealedError(
    'state.rollback',
    `${what}: restore the database that belongs to this machine, or start a new instance`,
  )
