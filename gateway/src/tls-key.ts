// Makes the gateway's TLS key and its certificate request, once per boot and as the gateway's user, before the embassy
// starts: `node gateway/src/tls-key.ts --config sealed.json`. The key is read by the gateway alone; the embassy sees
// the request.
import { generateKeyPair } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { promisify } from 'node:util'
import { SealedError } from '@sealed/protocol'
import forge from 'node-forge'
import { ownDirectory, writeWhole } from './node/own-directory.ts'
import { dropPrivileges } from './node/privileges.ts'
import { readDeployment } from './node/settings.ts'
import { gatewayPaths } from './node/start.ts'

const MODULUS_BITS = 3072

async function main(): Promise<void> {
  const { gateway, runtime_dir } = await readDeployment(process.argv.slice(2), process.env)
  const { tls } = gateway
  if (tls.mode !== 'embassy' && tls.mode !== 'acme')
    throw new SealedError(
      'config.invalid',
      `gateway.tls.mode is ${tls.mode}: only "embassy" and "acme" need a key from here`,
      { param: 'gateway.tls.mode' },
    )
  await ownDirectory(runtime_dir, 'tls', 0o755)
  dropPrivileges()
  const paths = gatewayPaths(runtime_dir)
  if ((await exists(paths.key)) && (await exists(paths.request))) return
  const key = await promisify(generateKeyPair)('rsa', {
    modulusLength: MODULUS_BITS,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  await writeWhole(paths.key, key.privateKey, 0o600)
  await writeWhole(paths.request, certificateRequest(key, tls.names[0]!), 0o644)
}

/** A PKCS #10 request in PEM; the names that are certified are the embassy's to choose from the same configuration. */
function certificateRequest(key: { publicKey: string; privateKey: string }, name: string): string {
  const request = forge.pki.createCertificationRequest()
  request.publicKey = forge.pki.publicKeyFromPem(key.publicKey)
  request.setSubject([{ name: 'commonName', value: name.slice(0, 64) }])
  request.sign(forge.pki.privateKeyFromPem(key.privateKey), forge.md.sha256.create())
  return forge.pki.certificationRequestToPem(request)
}

const exists = (path: string) =>
  readFile(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )

main().catch((error: unknown) => {
  const known = error instanceof SealedError
  process.stderr.write(`tls-key: ${known ? `${error.code}: ${error.message}` : String(error)}\n`)
  process.exitCode = 1
})
