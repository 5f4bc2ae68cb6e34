// Registry and meters: what `write`, `update` and `read` do to the database, and the digest over all of it. Meters only
// rise; a session moves them once, because it closes in one transaction.
import { createHash, randomBytes } from 'node:crypto'
import {
  canonicalize,
  changeBytes,
  MAX_OPENINGS,
  type Opening,
  type Reading,
  SealedError,
  type Statement,
  toBase64url,
} from '@sealed/protocol'
import { contentDigest } from '../digests.ts'
import { attribute, type Signature } from '../registry/attribution.ts'
import { getMeta, type Statements, setMeta } from './rows.ts'

/** Bounds on what authorities may store. */
export const MAX_SIGNATURES = 4096
export const MAX_CAPABILITIES = 256

const sha256 = (...parts: (Uint8Array | string)[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export interface Observation {
  /** Digest of the model that made the vector. */
  model: string
  vector: Float32Array
}

interface SignatureRow {
  capability: string
  polarity: 'positive' | 'negative'
  model: string
  vector: Buffer
}

export const registryVersion = (sql: Statements): number =>
  getMeta<number>(sql, 'registry.version') ?? 0
const registryChain = (sql: Statements): Buffer =>
  getMeta<Buffer>(sql, 'registry.chain') ?? Buffer.alloc(32)

/** The registry's chain after one more signature, whose vector has this digest. */
export const link = (
  chain: Uint8Array,
  row: Omit<SignatureRow, 'vector'>,
  digest: string,
): Buffer => {
  const { capability, model, polarity } = row
  return sha256(chain, canonicalize({ capability, digest, model, polarity }))
}

/** Signatures of each model, decoded once and kept until the registry changes. */
export class SignatureCache {
  #version = -1
  #byModel = new Map<string, Signature[]>()

  of(sql: Statements, model: string): readonly Signature[] {
    const version = registryVersion(sql)
    if (version !== this.#version) {
      this.#byModel.clear()
      this.#version = version
    }
    let signatures = this.#byModel.get(model)
    if (!signatures) {
      const rows = sql.all<SignatureRow>(
        'SELECT capability, polarity, model, vector FROM signatures WHERE model = ? ORDER BY id',
        model,
      )
      signatures = rows.map(({ capability, polarity, vector }) => ({
        capability,
        polarity,
        vector: toVector(vector),
      }))
      this.#byModel.set(model, signatures)
    }
    return signatures
  }
}

const toVector = (blob: Buffer): Float32Array => new Float32Array(Uint8Array.from(blob).buffer)
const toBlob = (vector: Float32Array): Buffer =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)

/** Stores an observation as a signature; the same one twice is one. Throws `registry.full`. */
export function write(
  sql: Statements,
  capability: string,
  polarity: 'positive' | 'negative',
  seen: Observation,
): void {
  const vector = toBlob(seen.vector)
  const digest = sha256(vector).toString('hex')
  const row = { capability, polarity, model: seen.model }
  const { changes } = sql.run(
    'INSERT OR IGNORE INTO signatures (capability, polarity, model, digest, vector) VALUES (?, ?, ?, ?, ?)',
    capability,
    polarity,
    seen.model,
    digest,
    vector,
  )
  if (changes === 0) return
  const counts = sql.get<{ n: number; c: number }>(
    'SELECT count(*) n, count(DISTINCT capability) c FROM signatures',
  )!
  if (counts.n > MAX_SIGNATURES || counts.c > MAX_CAPABILITIES)
    throw new SealedError(
      'registry.full',
      `the registry holds at most ${MAX_SIGNATURES} signatures of ${MAX_CAPABILITIES} capabilities`,
    )
  sql.run('INSERT OR IGNORE INTO meters (capability, millionths) VALUES (?, 0)', capability)
  setMeta(sql, 'registry.chain', link(registryChain(sql), row, digest))
  setMeta(sql, 'registry.version', registryVersion(sql) + 1)
}

/** Moves the meters by what an observation used; returns the salted digest of each change. */
export function update(
  sql: Statements,
  cache: SignatureCache,
  session: string,
  seen: Observation,
): string[] {
  const digests: string[] = []
  const use = [...attribute(seen.vector, cache.of(sql, seen.model))].sort(([a], [b]) =>
    a < b ? -1 : 1,
  )
  for (const [capability, millionths] of use) {
    const salt = randomBytes(32)
    sql.run(
      'UPDATE meters SET millionths = millionths + ? WHERE capability = ?',
      millionths,
      capability,
    )
    sql.run(
      'INSERT INTO changes (session, capability, millionths, salt) VALUES (?, ?, ?, ?)',
      session,
      capability,
      millionths,
      salt,
    )
    const content = sha256(changeBytes({ capability, millionths, session }))
    digests.push(contentDigest(salt, content))
  }
  return digests
}

export interface Coverage {
  boots: number
  rollbacks: number
  sessions: number
  sessions_unmetered: number
  output_bytes_unmetered: number
  egress_open_ms: number
}
const coverage = (sql: Statements): Coverage =>
  sql.get<Coverage>(
    'SELECT boots, rollbacks, sessions, sessions_unmetered, output_bytes_unmetered, egress_open_ms FROM coverage',
  )!

/** How long a workload's egress was open before this session, as its statements say: none for one that joined an epoch. */
export const egressOpenMs = (statements: readonly Statement[]): number =>
  statements.reduce((ms, one) => ms + (one.type === 'seal.enforced' ? one.egress_open_ms : 0), 0)

/** Adds to the coverage counters. */
export function cover(sql: Statements, add: Partial<Coverage>): void {
  for (const [column, value] of Object.entries(add))
    if (value) sql.run(`UPDATE coverage SET ${column} = ${column} + ?`, value)
}

/**
 * What an authority may know: its own meters, the coverage without which they mean nothing, and the openings of its
 * changes that were made after the one with the number `after`.
 */
export function read(sql: Statements, authority: string, origin: string, after = 0): Reading {
  // All text that begins with `<authority>/`, as a range of the index: '0' is the character after '/'.
  const own = [`${authority}/`, `${authority}0`]
  const mine = 'capability >= ? AND capability < ?'
  const rows = sql.all<{ id: number; salt: Buffer } & Omit<Opening, 'salt'>>(
    `SELECT id, capability, millionths, salt, session FROM changes NOT INDEXED WHERE ${mine} AND id > ? ORDER BY id LIMIT ?`,
    ...own,
    after,
    MAX_OPENINGS + 1,
  )
  const given = rows.slice(0, MAX_OPENINGS)
  return {
    authority,
    coverage: {
      ...coverage(sql),
      origin,
      references: sql.all(
        `SELECT capability, count(*) count, model FROM signatures WHERE ${mine} GROUP BY capability, model ORDER BY capability, model`,
        ...own,
      ),
      registry_version: registryVersion(sql),
    },
    meters: sql.all(
      `SELECT capability, millionths FROM meters WHERE ${mine} ORDER BY capability`,
      ...own,
    ),
    ...(rows.length > given.length && { next: given.at(-1)!.id }),
    openings: given.map(({ capability, millionths, salt, session }) => ({
      capability,
      millionths,
      salt: toBase64url(salt),
      session,
    })),
    version: 1,
  }
}

/** What each checkpoint states the digest of. */
export interface State {
  /** Hash chain over the registry's writes, hex. */
  chain: string
  coverage: Coverage
  meters: { capability: string; millionths: number }[]
  registry_version: number
}

export const stateOf = (sql: Statements): State => ({
  chain: registryChain(sql).toString('hex'),
  coverage: coverage(sql),
  meters: sql.all('SELECT capability, millionths FROM meters ORDER BY capability'),
  registry_version: registryVersion(sql),
})

/** Digest over registry, meters and coverage. */
export function digestOf({ chain, coverage, meters, registry_version }: State): Buffer {
  const state = canonicalize({ coverage: { ...coverage }, meters, registry_version })
  return sha256('sealed/state/v1\0', Buffer.from(chain, 'hex'), state)
}

export const stateDigest = (sql: Statements): Buffer => digestOf(stateOf(sql))

/** The registry's chain over its first `writes` rows. */
export function chainOverRows(sql: Statements, writes = -1): Buffer {
  let chain = Buffer.alloc(32)
  for (const row of sql.all<SignatureRow>(
    'SELECT capability, polarity, model, vector FROM signatures ORDER BY id LIMIT ?',
    writes,
  ))
    chain = Buffer.from(link(chain, row, sha256(row.vector).toString('hex')))
  return chain
}

/** Recomputes the registry's chain from its rows; throws `state.rollback` when the rows were changed behind it. */
export function checkRegistry(sql: Statements): void {
  if (!registryChain(sql).equals(chainOverRows(sql)))
    throw new SealedError(
      'state.rollback',
      'the registry’s rows are not those that were written: the database was changed from outside',
    )
}
