// Who may open a socket of the embassy: root gives it to one group; whoever is not root keeps it to himself.
import { chmod, chown } from 'node:fs/promises'

/** `gid` is the group that may connect; nobody else but root can, and without one root alone. */
export async function restrict(path: string, gid?: number): Promise<void> {
  const isRoot = process.getuid?.() === 0
  if (isRoot) await chown(path, 0, gid ?? 0)
  await chmod(path, isRoot && gid !== undefined ? 0o660 : 0o600)
}
