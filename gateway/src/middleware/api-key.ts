// Who calls: the name of the API key in `Authorization: Bearer …`. A key is compared by its digest with every key that
// there is, without stopping early, so that time tells nothing of which one nearly fitted.
import { equal, fromHex, SealedError, sha256, utf8 } from '@sealed/protocol'
import { createMiddleware } from 'hono/factory'
import { ANONYMOUS, type ApiKey, type AppEnv } from '../deps.ts'

interface Entry {
  readonly name: string
  readonly digest: Uint8Array
}

const BEARER = /^bearer +([\x21-\x7e]{1,512})$/i

/** Sets `caller`; throws `request.unauthorized` for a missing or unknown key. */
export function apiKey(keys: readonly ApiKey[]) {
  const entries = keys.map(({ digest, name }) => ({ name, digest: fromHex(digest, 32) }))
  return createMiddleware<AppEnv>(async (c, next) => {
    c.set(
      'caller',
      entries.length === 0 ? ANONYMOUS : await callerOf(entries, c.req.header('authorization')),
    )
    await next()
  })
}

async function callerOf(entries: readonly Entry[], header: string | undefined): Promise<string> {
  if (header === undefined)
    throw new SealedError('request.unauthorized', 'send an API key: Authorization: Bearer sk-…')
  const key = BEARER.exec(header)?.[1]
  const name = key === undefined ? undefined : matchKey(entries, await sha256(utf8(key)))
  if (name === undefined)
    throw new SealedError('request.unauthorized', 'this API key is not one of this deployment')
  return name
}

/** The name of the entry with this digest. Looks at every byte of every entry whatever it finds. */
export function matchKey(entries: Iterable<Entry>, presented: Uint8Array): string | undefined {
  let found: string | undefined
  for (const { name, digest } of entries) {
    const same = equal(digest, presented)
    found = same ? name : found
  }
  return found
}
