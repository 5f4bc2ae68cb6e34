// What an authority reads: its meters, the coverage without which they mean nothing, and the openings of the salted
// digests under which the log recorded each change, so that the meters can be summed up again from the log alone.
import * as v from 'valibot'
import { fromBase64url, utf8 } from './bytes.ts'
import { SealedError } from './errors.ts'
import { canonicalize, parseCanonical } from './json.ts'
import { base64url, capability, check, digest, hex, integer, text } from './schema.ts'
import { type SessionLeaf, saltedDigest } from './statement.ts'

/** The most openings that one reading holds; the next reading goes on from there. */
export const MAX_OPENINGS = 1_000

const openingSchema = v.strictObject({
  capability,
  millionths: integer(),
  salt: v.pipe(base64url(32), v.length(43)),
  session: hex(16),
})
export type Opening = v.InferOutput<typeof openingSchema>

const readingEntries = v.strictObject({
  authority: hex(16),
  coverage: v.strictObject({
    boots: integer(),
    egress_open_ms: integer(),
    origin: text(128),
    output_bytes_unmetered: integer(),
    references: v.array(v.strictObject({ capability, count: integer(), model: digest })),
    registry_version: integer(),
    rollbacks: integer(),
    sessions: integer(),
    sessions_unmetered: integer(),
  }),
  meters: v.array(v.strictObject({ capability, millionths: integer() })),
  /** Where the next reading goes on (`after` of its action); absent when these openings are the last. */
  next: v.exactOptional(integer(1)),
  openings: v.pipe(v.array(openingSchema), v.maxLength(MAX_OPENINGS)),
  version: v.literal(1),
})
export const readingSchema = v.pipe(
  readingEntries,
  v.check(
    ({ authority, coverage, meters, openings }) =>
      [...coverage.references, ...meters, ...openings].every(({ capability }) =>
        capability.startsWith(`${authority}/`),
      ),
    'must be of the authority’s own capabilities',
  ),
  v.check(
    ({ meters }) => new Set(meters.map(({ capability }) => capability)).size === meters.length,
    'must have one meter for each capability',
  ),
)
export type Reading = v.InferOutput<typeof readingSchema>

/** Parses a reading's canonical text; throws `json.*` or `schema.invalid`. */
export const parseReading = (source: string): Reading =>
  check(readingSchema, parseCanonical(source), 'reading', 'schema.invalid')

/** What a change's salted digest in `registry.applied` is of. */
export const changeBytes = ({ capability, millionths, session }: Omit<Opening, 'salt'>) =>
  utf8(canonicalize({ capability, millionths, session }))

export interface Replay {
  /** Sum of the opened changes of each capability, in millionths. */
  sums: ReadonlyMap<string, number>
  /** Changes in these leaves: in all, and opened by these openings. The others belong to other authorities. */
  changes: number
  opened: number
}

/**
 * Sums an authority's meters up from leaves of the log and the openings that its readings gave. Throws
 * `reading.unproven` for an opening whose session has no leaf here, that opens no change of it, or that is given twice.
 */
export async function replayMeters(
  leaves: Iterable<SessionLeaf>,
  openings: Iterable<Opening>,
): Promise<Replay> {
  const left = new Map<string, string[]>()
  let changes = 0
  for (const { session, statements } of leaves) {
    if (left.has(session)) throw unproven(session, 'has two leaves')
    const digests = statements.flatMap((one) =>
      one.type === 'registry.applied' ? one.changes : [],
    )
    changes += digests.length
    left.set(session, digests)
  }
  const sums = new Map<string, number>()
  let opened = 0
  for (const opening of openings) {
    const { capability, millionths, salt, session } = opening
    const unopened = left.get(session)
    if (!unopened) throw unproven(session, 'has no leaf here')
    const at = unopened.indexOf(
      await saltedDigest(fromBase64url(salt), changeBytes({ capability, millionths, session })),
    )
    if (at < 0)
      throw unproven(
        session,
        `has no change of ${capability} that this opens, or it was opened before`,
      )
    unopened.splice(at, 1)
    opened += 1
    sums.set(capability, (sums.get(capability) ?? 0) + millionths)
  }
  return { sums, changes, opened }
}

const unproven = (session: string, why: string) =>
  new SealedError('reading.unproven', `session ${session} ${why}`)
