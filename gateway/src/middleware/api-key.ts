// Who calls: the API key in `Authorization: Bearer …`. A key is compared by its digest with every key that there is,
// without stopping early, so that time tells nothing of which one nearly fitted.
import { equal, fromHex, SealedError, sha256, utf8 } from '@sealed/protocol'
import { createMiddleware } from 'hono/factory'
import { ANONYMOUS, type ApiKey, type AppEnv, type Deps } from '../deps.ts'

interface Entry {
  readonly key: ApiKey
  readonly digest: Uint8Array
}

const BEARER = /^bearer +([\x21-\x7e]{1,512})$/i

/** Sets `caller`, and `apiKey` where keys are asked for; throws `request.unauthorized` for a missing or unknown key. */
export function apiKey(source: Deps['apiKeys']) {
  const entriesOf = remembered((keys: readonly ApiKey[]): Entry[] =>
    keys.map((key) => ({ key, digest: fromHex(key.digest, 32) })),
  )
  return createMiddleware<AppEnv>(async (c, next) => {
    if (source) {
      const key = await keyOf(entriesOf(source()), c.req.header('authorization'))
      c.set('apiKey', key)
      c.set('caller', key.name)
    } else c.set('caller', ANONYMOUS)
    await next()
  })
}

/** The same answer for the same list, so that a list is read once. */
function remembered<A extends object, B>(make: (from: A) => B): (from: A) => B {
  let last: { from: A; made: B } | undefined
  return (from) => {
    if (last?.from !== from) last = { from, made: make(from) }
    return last.made
  }
}

async function keyOf(entries: readonly Entry[], header: string | undefined): Promise<ApiKey> {
  if (header === undefined)
    throw new SealedError('request.unauthorized', 'send an API key: Authorization: Bearer sk-…')
  const text = BEARER.exec(header)?.[1]
  const key = text === undefined ? undefined : matchKey(entries, await sha256(utf8(text)))
  if (key === undefined)
    throw new SealedError('request.unauthorized', 'this API key is not one of this deployment')
  return key
}

/** The key with this digest. Looks at every byte of every entry whatever it finds. */
export function matchKey(entries: Iterable<Entry>, presented: Uint8Array): ApiKey | undefined {
  let found: ApiKey | undefined
  for (const { key, digest } of entries) {
    const same = equal(digest, presented)
    found = same ? key : found
  }
  return found
}
