// Who may open a socket of the embassy: root gives it to one group; whoever is not root keeps it to himself.
import { chmod, chown, rm } from 'node:fs/promises'
import type { Server } from 'node:net'

/** Listens on a Unix socket at `path`. `gid` is the group that may connect; nobody else but root can, and without one root alone. */
export async function bind(
  server: Pick<Server, 'listen' | 'once'>,
  path: string,
  gid?: number,
): Promise<void> {
  await rm(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve())
  })
  const isRoot = process.getuid?.() === 0
  if (isRoot) await chown(path, 0, gid ?? 0)
  await chmod(path, isRoot && gid !== undefined ? 0o660 : 0o600)
}
