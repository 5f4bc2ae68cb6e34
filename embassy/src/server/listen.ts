// Serves a Hono app on a Unix socket that one group may open. The socket's directory is the embassy's.
import { rm } from 'node:fs/promises'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { restrict } from './restrict.ts'

export interface Listening {
  close(): Promise<void>
}

/** `gid` as for `restrict`. */
export async function listen(app: Hono, path: string, gid?: number): Promise<Listening> {
  await rm(path, { force: true })
  const server = createAdaptorServer({ fetch: app.fetch })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve())
  })
  await restrict(path, gid)
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        if ('closeAllConnections' in server) server.closeAllConnections()
      }),
  }
}
