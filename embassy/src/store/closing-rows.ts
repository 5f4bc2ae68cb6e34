// What the end of a session, or of an epoch, does to registry, meters and coverage, and the leaf that it leaves.
import { hash } from 'node:crypto'
import { canonicalize, type EpochLeaf, SealedError, type SessionLeaf } from '@sealed/protocol'
import { contentDigest } from '../digests.ts'
import {
  cover,
  egressOpenMs,
  read,
  registryVersion,
  type SignatureCache,
  update,
  write,
} from './registry-rows.ts'
import type { Statements } from './rows.ts'
import { type Draft, extend } from './stamp.ts'
import type { Closing } from './step.ts'

export interface Closed {
  leaf: SessionLeaf | EpochLeaf
  /** Digest of the attestation document that a receipt names; an epoch has no receipt. */
  document?: string
  /** What an authority read. */
  reading?: string
}

type SessionEnd = Exclude<Closing['end'], { kind: 'epoch' }>

/** Ends what is open, once. Throws `session.aborted` where it is not, `embassy.unavailable` for an epoch with open sessions. */
export function close(
  sql: Statements,
  cache: SignatureCache,
  { session, statements, end }: Closing,
  origin: string,
): Closed {
  const open = sql.get<{ document: string }>('SELECT document FROM sessions WHERE id = ?', session)
  if (!open)
    throw new SealedError('session.aborted', 'this session is not open: it was closed before')
  sql.run('DELETE FROM sessions WHERE id = ?', session)
  if (end.kind === 'epoch') {
    ensureLeft(sql, session)
    const all = extend(statements, end.drafts)
    return { leaf: { epoch: session, kind: 'epoch', statements: all, version: 1 } }
  }
  const { drafts, reading } = draftsOf(sql, cache, session, end, origin)
  const unmetered = end.kind === 'commit' && !end.observation
  cover(sql, {
    sessions: end.kind === 'read' ? 0 : 1,
    sessions_unmetered: unmetered || end.kind === 'abort' ? 1 : 0,
    output_bytes_unmetered: unmetered ? end.outputBytes : 0,
    egress_open_ms: egressOpenMs(statements),
  })
  const leaf: SessionLeaf = {
    kind: 'session',
    session,
    statements: extend(statements, drafts),
    version: 1,
  }
  return { leaf, document: open.document, ...(reading !== undefined && { reading }) }
}

/** The leaf of an epoch stands after those of all its sessions. */
function ensureLeft(sql: Statements, epoch: string): void {
  const named = `%"epoch":"${epoch}"%`
  if (sql.get('SELECT 1 FROM sessions WHERE statements LIKE ?', named) !== undefined)
    throw new SealedError('embassy.unavailable', 'a session of this epoch is still open')
}

function draftsOf(
  sql: Statements,
  cache: SignatureCache,
  session: string,
  end: SessionEnd,
  origin: string,
): { drafts: Draft[]; reading?: string } {
  if (end.kind === 'abort') return { drafts: [end.abort] }
  if (end.kind === 'commit') return { drafts: [apply(sql, cache, session, end), ...end.after] }
  const reading = canonicalize(read(sql, end.authority, origin, end.after))
  const content = hash('sha256', reading, 'buffer')
  const statement: Draft = {
    type: 'registry.read',
    authority: end.authority,
    reading_digest: contentDigest(end.salt, content),
    registry_version: registryVersion(sql),
  }
  return { drafts: [statement, { type: 'response.released', to: 'gateway' }], reading }
}

function apply(
  sql: Statements,
  cache: SignatureCache,
  session: string,
  end: Extract<SessionEnd, { kind: 'commit' }>,
): Draft {
  let changes: string[] = []
  if (end.observation && end.action.type === 'write')
    write(sql, end.capability!, end.action.polarity, end.observation)
  else if (end.observation) changes = update(sql, cache, session, end.observation)
  return {
    type: 'registry.applied',
    attribution: end.attribution,
    changes,
    metered: end.observation !== undefined,
    operation: end.action.type,
    registry_version: registryVersion(sql),
  }
}
