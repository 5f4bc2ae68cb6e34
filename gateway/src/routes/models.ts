// GET /v1/models: what can be asked here, as OpenAI lists it.
import { Hono } from 'hono'
import type { AppEnv } from '../deps.ts'
import type { StatusCache } from '../workloads.ts'
import { notAllowed } from './not-allowed.ts'

export const models = (status: StatusCache) =>
  new Hono<AppEnv>()
    .get('/', async (c) => {
      const { workloads } = await status.get()
      const data = workloads.flatMap(({ name, models }) =>
        models.map((id) => ({ id, object: 'model', created: 0, owned_by: name })),
      )
      c.header('cache-control', 'no-store')
      return c.json({ object: 'list', data })
    })
    .all('/', notAllowed('GET'))
