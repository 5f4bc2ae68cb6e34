// What the tests of booted images share: machines of a release, and a stranger's request to one.
import { createHash, type X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { type Answer, type Attested, ask, attest } from '@sealed/client'
import { type Policy, utf8 } from '@sealed/protocol'
import { expect } from 'vitest'
import { CHAT } from '../support/instance.ts'
import { Machine } from './machine.ts'
import { meeting, type Surroundings } from './surroundings.ts'

/** Without acceleration, beside other work. */
export const BOOT_MS = 900_000

export async function machineOf(
  around: Surroundings,
  directory: string,
  disk: string,
  keys: string,
  disks: readonly string[] = [],
): Promise<Machine> {
  const machine = new Machine({
    ...{ directory, disk, disks, keys, tpm: around.tpm },
    metadata: Number(new URL(around.metadata.url).port),
    registry: around.registryPort,
  })
  await machine.make()
  return machine
}

const urlOf = ({ port }: Machine) => `https://127.0.0.1:${port}`

/** Resolves when the gateway says that it is ready. */
export const ready = (machine: Machine): Promise<void> =>
  machine.until(async () => {
    const response = await meeting().fetch(`${urlOf(machine)}/health/ready`, {})
    if (response.status !== 200) throw new Error(`it answers ${response.status}`)
  }, BOOT_MS)

/** Attests the machine over the very key that its TLS ends at, and asks it; `more` are members of the request. */
export async function askOf(
  machine: Machine,
  around: Surroundings,
  policy: Policy,
  more: object = {},
): Promise<{ answer: Answer; attested: Attested }> {
  const { fetch, met } = meeting()
  const { apiKey } = around
  const attested = await attest({ url: urlOf(machine), policy, fetch, apiKey })
  expect(attested.document.key_set.tls_spki_digest).toBe(spkiOf(met()))
  const body = utf8(JSON.stringify({ model: 'noop', messages: [], ...more }))
  const answer = await ask({ attested, endpoint: CHAT, body, apiKey })
  return { answer, attested }
}

const spkiOf = ({ publicKey }: X509Certificate) =>
  createHash('sha256')
    .update(publicKey.export({ format: 'der', type: 'spki' }))
    .digest('hex')

export const diskOf = (image: string): string => join(image, 'disk.raw')
