// undici reads its parser from disk at the first answer. By then this process has a user that may not be able to: a
// clone below /root, say. So one answer is fetched before the rights are given up, from a server of its own.
import { rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { Client } from 'undici'

/** `socketPath` must not exist; nothing is left there. */
export async function loadHttpClient(socketPath: string): Promise<void> {
  const server = createServer((_, response) => response.end())
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath, () => resolve())
  })
  const client = new Client('http://load', { socketPath })
  try {
    const { body } = await client.request({ path: '/', method: 'GET' })
    await body.dump()
  } finally {
    await client.close()
    server.close()
    await rm(socketPath, { force: true })
  }
}
