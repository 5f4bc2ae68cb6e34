// Serves a Hono app on a Unix socket that one group may open. The socket's directory is the embassy's.
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { bind } from './bind.ts'

export interface Listening {
  close(): Promise<void>
}

/** `gid` as for `bind`. */
export async function listen(app: Hono, path: string, gid?: number): Promise<Listening> {
  const server = createAdaptorServer({ fetch: app.fetch })
  await bind(server, path, gid)
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        if ('closeAllConnections' in server) server.closeAllConnections()
      }),
  }
}
