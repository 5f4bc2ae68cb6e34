// GET /log/checkpoint, /log/boot, /log/tile/<L>/<N>[.p/<W>] and the same below /log/<16 hex of an origin>/: the
// transparency log as C2SP tlog-tiles lays it out. Only paths of one spelling reach the embassy; entry bundles have none.
import { parseTilePath, SealedError } from '@sealed/protocol'
import { type Context, Hono } from 'hono'
import type { AppEnv, EmbassyClient } from '../deps.ts'
import { notAllowed } from './not-allowed.ts'

const FOREVER = 'public, max-age=31536000, immutable'
const TYPES = {
  checkpoint: 'text/plain; charset=utf-8',
  boot: 'application/json',
  tile: 'application/octet-stream',
} as const

export const log = (embassy: EmbassyClient) =>
  new Hono<AppEnv>().get('/*', (c) => serve(c, embassy)).all('/*', notAllowed('GET'))

async function serve(c: Context<AppEnv>, embassy: EmbassyClient): Promise<Response> {
  const path = c.req.path.slice('/log/'.length)
  const [, named, resource = ''] = /^(?:([0-9a-f]{16})\/)?(.+)$/s.exec(path) ?? []
  const kind = parseTilePath(resource) ? 'tile' : resource
  const isServed = kind === 'tile' || kind === 'checkpoint' || kind === 'boot'
  const body = isServed
    ? await embassy.log(named ?? 'current', resource, c.req.raw.signal)
    : undefined
  if (!isServed || !body)
    throw new SealedError(
      'request.not_found',
      'no such part of a log here: checkpoint, boot, or a tile below its newest checkpoint',
    )
  // At an address without an origin another log answers after a reboot.
  const isFixed = named !== undefined && kind !== 'checkpoint'
  c.header('cache-control', isFixed ? FOREVER : 'no-store')
  return c.body(body as Uint8Array<ArrayBuffer>, 200, { 'content-type': TYPES[kind] })
}
