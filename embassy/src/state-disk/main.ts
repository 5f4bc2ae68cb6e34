// The service that brings the state partition up before Docker and the embassy start: a process of its own that ends.
// Its arguments stand in the measured image, but for the file of approvals, which the TPM checks.
import { createPublicKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { SealedError } from '@sealed/protocol'
import { log } from '../log.ts'
import { flushContext, transientHandles } from '../tpm/commands.ts'
import { type Execute, Link } from '../tpm/link.ts'
import { openTransport } from '../tpm/transport.ts'
import { parseApprovals } from './approvals.ts'
import { MOST_SECURITY_VERSIONS, policyKeyArea } from './policy.ts'
import { run } from './run.ts'
import type { Image } from './sealed-key.ts'
import { bringUp } from './state-disk.ts'

const TPM_TIMEOUT_MS = 60_000

const usage = (what: string) =>
  new SealedError(
    'config.invalid',
    `${what}; usage: --device DEVICE --mount DIRECTORY --policy-key PEM --approvals pcr-policy.json ` +
      '--security-version N [--tpm /dev/tpmrm0] [--name sealed-state] [--runtime /run/sealed-state]',
  )

function readArguments() {
  const text = { type: 'string' } as const
  const options = {
    device: text,
    mount: text,
    'policy-key': text,
    approvals: text,
    'security-version': text,
    tpm: { ...text, default: '/dev/tpmrm0' },
    name: { ...text, default: 'sealed-state' },
    runtime: { ...text, default: '/run/sealed-state' },
  } as const
  try {
    return parseArgs({ options }).values
  } catch (error) {
    throw usage((error as Error).message)
  }
}

async function readImage(values: ReturnType<typeof readArguments>): Promise<Image> {
  const read = async (name: 'policy-key' | 'approvals') => {
    const path = values[name]
    if (!path) throw usage(`--${name} is missing`)
    return readFile(path, 'utf8').catch((error: Error) => {
      throw new SealedError('config.invalid', `--${name}: ${error.message}`)
    })
  }
  const version = values['security-version'] ?? ''
  if (!/^[1-9][0-9]?$/.test(version) || Number(version) > MOST_SECURITY_VERSIONS)
    throw usage(`--security-version must be 1 to ${MOST_SECURITY_VERSIONS}`)
  return {
    policyKey: policyKeyArea(readPublicKey(await read('policy-key'))),
    securityVersion: Number(version),
    approvals: parseApprovals(await read('approvals')),
  }
}

function readPublicKey(pem: string): JsonWebKey {
  try {
    return createPublicKey(pem).export({ format: 'jwk' })
  } catch (cause) {
    throw new SealedError('config.invalid', '--policy-key holds no public key in PEM', { cause })
  }
}

/** A socket has no resource manager: what a killed owner left would fill the TPM's few slots. */
async function greet(execute: Execute): Promise<void> {
  for (const left of await execute(transientHandles())) await execute(flushContext(left))
}

try {
  const values = readArguments()
  const { device, mount, name, runtime, tpm } = values
  if (!device || !mount) throw usage('--device and --mount are needed')
  const image = await readImage(values)
  const link = new Link({ dial: () => openTransport(tpm), greet, timeoutMs: TPM_TIMEOUT_MS })
  const world = { run, tpm: link.run.bind(link), mapper: '/dev/mapper' } as const
  try {
    const outcome = await bringUp(world, { device, mount, name, runtime }, image)
    log(`state partition ${outcome}`, { device, security_version: image.securityVersion })
  } finally {
    await link.close(async () => undefined)
  }
} catch (error) {
  const known = error instanceof SealedError
  log('state partition is not there', {
    code: known ? error.code : 'internal.error',
    reason: known ? error.message : String((error as Error).stack),
  })
  process.exitCode = 1
}
