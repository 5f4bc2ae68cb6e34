// The boot of an embassy without a TPM: keys that nothing vouches for, and a document that says so.
import {
  type AttestationDocument,
  attestationDocumentSchema,
  check,
  documentDigest,
  logOrigin,
  NO_TPM,
} from '@sealed/protocol'
import { type BootDeps, type BootState, openKeys } from '../boot.ts'
import { TransportKeys } from '../keys/transport-keys.ts'

export type UnsealedBootDeps = Pick<BootDeps, 'files' | 'configuration' | 'tlsSpkiDigest'>

/** Keys live as long as the runtime directory: without a TPM nothing tells one boot from another. */
export async function startUnsealedBoot({
  files,
  tlsSpkiDigest,
}: UnsealedBootDeps): Promise<BootState> {
  await files.create()
  const { key, keySet, k } = await openKeys(files, NO_TPM, tlsSpkiDigest)
  const transportKeys = new TransportKeys(key, files)
  await transportKeys.refresh()
  return {
    ledgerKey: key,
    transportKeys,
    keySet,
    keySetDigest: k,
    boot: { origin: logOrigin(k), akName: NO_TPM, resetCount: 0, restartCount: 0 },
  }
}

export async function stateUnsealed(
  state: BootState,
  { configuration }: UnsealedBootDeps,
): Promise<{ document: AttestationDocument; digest: string }> {
  const document: AttestationDocument = {
    configuration,
    key_set: state.keySet,
    pcrs: [],
    started_ms: Date.now(),
    transport_keys: state.transportKeys.records(),
    version: 1,
  }
  check(attestationDocumentSchema, document, 'attestation document', 'internal.error')
  return { document, digest: await documentDigest(document) }
}
