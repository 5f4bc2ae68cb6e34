// The image, built, signed and started: a stranger's request is answered under seal, and its receipt verifies against
// values that were computed from the disk's file alone. Beside it, what must not start.
import { createHash, type X509Certificate } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ask, attest } from '@sealed/client'
import { utf8 } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHAT } from '../support/instance.ts'
import { Machine } from './machine.ts'
import { type Release, release, run } from './release.ts'
import { meeting, type Surroundings, surround } from './surroundings.ts'

const BOOT_MS = 600_000
const released = release()

describe.skipIf(!released)('the image', () => {
  const { image, keys } = released as Release
  let directory: string
  let around: Surroundings
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sealed-boot-'))
    around = await surround(directory)
  })
  afterAll(async () => {
    await around?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const machine = async (name: string): Promise<Machine> => {
    const { metadata, registryPort, tpm } = around
    const made = new Machine({
      ...{ directory: join(directory, name), disk: join(image, 'disk.raw'), keys, tpm },
      metadata: Number(new URL(metadata.url).port),
      registry: registryPort,
    })
    await made.make()
    return made
  }

  test(
    'starts, seals a stranger’s request, and is what its file says',
    async () => {
      const started = await machine('whole')
      await started.powerOn()
      try {
        const { fetch, met } = meeting()
        const url = `https://127.0.0.1:${started.port}`
        const policy = await around.policy(image)
        await started.until(async () => {
          const response = await fetch(`${url}/health/ready`, {})
          if (response.status !== 200) throw new Error(`status ${response.status}`)
        }, BOOT_MS)
        const attested = await attest({ url, policy, fetch, apiKey: around.apiKey })
        expect(attested.document.key_set.tls_spki_digest).toBe(spkiOf(met()))
        const body = utf8(JSON.stringify({ model: 'noop', messages: [] }))
        const answer = await ask({ attested, endpoint: CHAT, body, apiKey: around.apiKey })
        expect(answer.status).toBe(200)
        expect(answer.verdict.outcome).toBe('verified')
      } finally {
        await started.cut()
      }
    },
    2 * BOOT_MS,
  )
})

const spkiOf = ({ publicKey }: X509Certificate) =>
  createHash('sha256')
    .update(publicKey.export({ format: 'der', type: 'spki' }))
    .digest('hex')
