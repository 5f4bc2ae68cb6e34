// The answer to a known path asked with the wrong method.
import type { Handler } from 'hono'
import type { AppEnv } from '../deps.ts'
import { Refusal } from '../errors.ts'

/** Throws `request.method` (405) with `Allow`. */
export const notAllowed =
  (...methods: string[]): Handler<AppEnv> =>
  (c) => {
    const allow = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
    throw new Refusal('request.method', 405, `${c.req.path} takes ${allow.join(', ')}`, {
      headers: { allow: allow.join(', ') },
    })
  }
