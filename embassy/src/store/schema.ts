// The tables of the embassy's one database: logs, sessions, nonces, registry, meters.

/** Layout of the database; an embassy reads and writes this one and refuses any other. */
export const SCHEMA_VERSION = 2
/** What tells an embassy's database from other SQLite files: `SEAL`. */
export const APPLICATION_ID = 0x5345414c

/**
 * Tables with long rows have row ids: without, SQLite reads the whole of each row that it passes on the way to another.
 * `logs.proven`: how many of its leaves the newest kept checkpoint covers.
 */
export const SCHEMA = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE logs (
  id INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, proven INTEGER NOT NULL DEFAULT 0,
  note TEXT
) STRICT;
CREATE TABLE nodes (
  log INTEGER NOT NULL, level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY (log, level, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE leaves (
  log INTEGER NOT NULL, idx INTEGER NOT NULL, session TEXT, document TEXT, closed_ms INTEGER NOT NULL,
  leaf TEXT NOT NULL, PRIMARY KEY (log, idx)
) STRICT;
CREATE INDEX leaf_of ON leaves (session);
CREATE INDEX aging ON leaves (closed_ms) WHERE session IS NOT NULL;
CREATE INDEX documented ON leaves (document) WHERE document IS NOT NULL;
CREATE TABLE checkpoints (
  log INTEGER NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL, attest BLOB, signature BLOB,
  PRIMARY KEY (log, size)
) STRICT;
CREATE TABLE pruned (session TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE cosignatures (
  log INTEGER NOT NULL, note TEXT NOT NULL, name TEXT NOT NULL, line TEXT NOT NULL, size INTEGER NOT NULL,
  counter INTEGER NOT NULL, PRIMARY KEY (log, note, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE documents (
  digest TEXT NOT NULL PRIMARY KEY, kept_ms INTEGER NOT NULL, document TEXT NOT NULL
) STRICT;
CREATE TABLE nonces (nonce TEXT PRIMARY KEY, seen_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
  id TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL, statements TEXT NOT NULL
) STRICT;
CREATE TABLE signatures (
  id INTEGER PRIMARY KEY, capability TEXT NOT NULL, polarity TEXT NOT NULL, model TEXT NOT NULL,
  digest TEXT NOT NULL, vector BLOB NOT NULL, UNIQUE (capability, polarity, model, digest)
) STRICT;
CREATE TABLE meters (capability TEXT PRIMARY KEY, millionths INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
  id INTEGER PRIMARY KEY, session TEXT NOT NULL, capability TEXT NOT NULL, millionths INTEGER NOT NULL,
  salt BLOB NOT NULL, UNIQUE (session, capability)
) STRICT;
CREATE TABLE coverage (
  id INTEGER PRIMARY KEY CHECK (id = 1), boots INTEGER NOT NULL, rollbacks INTEGER NOT NULL,
  sessions INTEGER NOT NULL, sessions_unmetered INTEGER NOT NULL, output_bytes_unmetered INTEGER NOT NULL,
  egress_open_ms INTEGER NOT NULL
) STRICT;
INSERT INTO coverage VALUES (1, 0, 0, 0, 0, 0, 0);
`

/** What no state of the ledger covers: made where it is missing, as in a backup from before it was there. */
export const ACCOUNTS = `
CREATE TABLE IF NOT EXISTS usage (
  day TEXT NOT NULL, caller TEXT NOT NULL, answered INTEGER NOT NULL, aborted INTEGER NOT NULL,
  input_bytes INTEGER NOT NULL, output_bytes INTEGER NOT NULL, PRIMARY KEY (day, caller)
) STRICT, WITHOUT ROWID;
`
