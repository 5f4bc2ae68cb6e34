// From root to the gateway's own user, for good: whoever takes over this process gets a user without rights.
import process from 'node:process'

/** Uid and gid of the gateway. */
export const GATEWAY_USER = 64101

export const isRoot = (): boolean => process.getuid?.() === 0

/** Becomes the gateway's user when started as root. Throws when root could be had back. */
export function dropPrivileges(): void {
  if (!isRoot()) return
  process.setgroups!([])
  process.setgid!(GATEWAY_USER)
  process.setuid!(GATEWAY_USER)
  const groups = process.getgroups!().filter((group) => group !== GATEWAY_USER)
  if (process.getuid!() !== GATEWAY_USER || process.getgid!() !== GATEWAY_USER || groups.length > 0)
    throw new Error('still has rights of the user that started it')
  try {
    process.setuid!(0)
  } catch {
    return
  }
  throw new Error('could become root again')
}
