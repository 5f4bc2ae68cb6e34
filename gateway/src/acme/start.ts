// Mode `acme` of a running gateway, put together. `prepareAcme` reads what only root may, before the rights are given up;
// `begin` starts to talk to the ACME server, after that.
import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { type AcmeSettings, SealedError } from '@sealed/protocol'
import type { Registry } from 'prom-client'
import type { CertificateState } from '../deps.ts'
import { ownDirectory } from '../node/own-directory.ts'
import { Challenges } from './alpn.ts'
import type { Certificate } from './certificate.ts'
import { obtainCertificate } from './client.ts'
import { AcmeFailure } from './failure.ts'
import { AcmeFiles } from './files.ts'
import { useHttp } from './http.ts'
import { certificateMetrics } from './metrics.ts'
import { Renewal } from './renewal.ts'

export interface AcmeObserver {
  registry: Registry
  info(message: string, fields: Record<string, unknown>): void
  warn(message: string, fields: Record<string, unknown>): void
}

export interface Acme {
  challenges: Challenges
  /** PEM: of an earlier process of this boot, where there is one. */
  certificate: string | undefined
  state(): CertificateState
  /** Asks for certificates from now on; `install` serves one. */
  begin(install: (chain: string) => void): Promise<void>
  renewNow(): void
  stop(): Promise<void>
}

/** `tlsDirectory` holds the gateway's key; `key` is its PEM. Throws `config.invalid` for files that cannot be read. */
export async function prepareAcme(
  settings: AcmeSettings,
  tlsDirectory: string,
  key: string,
  seen: AcmeObserver,
): Promise<Acme> {
  const roots = settings.roots === undefined ? undefined : await read(settings.roots, 'roots')
  const external = settings.external_account && {
    kid: settings.external_account.key_id,
    hmacKey: (await read(settings.external_account.key, 'external_account.key')).trim(),
  }
  const files = new AcmeFiles(await ownDirectory(tlsDirectory, 'acme', 0o700))
  const challenges = new Challenges()
  const privateKey = createPrivateKey(key)
  const saved = await files.certificate(privateKey, settings.names, Date.now())
  const stopping = new AbortController()
  const http = useHttp(stopping.signal, roots)
  let served = saved
  let renewal: Renewal | undefined
  const metrics = certificateMetrics(seen.registry, () => served?.notAfter)

  const obtain = async () =>
    obtainCertificate({
      settings,
      accountKey: await files.accountKey(),
      ...(external && { external }),
      key: privateKey,
      challenges,
      clock: Date.now,
      pause: (ms) => delay(ms, undefined, { signal: stopping.signal }),
    })
  return {
    challenges,
    certificate: saved?.chain,
    state: () => (served ? (served.notAfter > Date.now() ? 'acme' : 'expired') : 'embassy'),
    async begin(install) {
      const deps = {
        obtain,
        install: async (certificate: Certificate) => {
          install(certificate.chain)
          served = certificate
          await files.keepCertificate(certificate)
        },
        keep: files.keepPending.bind(files),
        issued: ({ notAfter }: Certificate, dueMs: number) => {
          metrics.issued()
          seen.info('public certificate', { expires: iso(notAfter), renewal: iso(dueMs) })
        },
        failed: (error: unknown, dueMs: number) => {
          const reason = error instanceof AcmeFailure ? error.reason : 'refused'
          metrics.failed(reason)
          const { message } = error as Error
          seen.warn('no public certificate', { reason, error: message, next_attempt: iso(dueMs) })
        },
        expired: ({ notAfter }: Certificate) => {
          metrics.expired()
          seen.warn('the public certificate has expired and is still served', {
            expired: iso(notAfter),
          })
        },
      }
      renewal = new Renewal(deps, saved, await files.pending())
      renewal.start()
    },
    renewNow: () => renewal?.renewNow(),
    async stop() {
      stopping.abort()
      await renewal?.stop()
      await http.close()
    },
  }
}

const iso = (ms: number) => new Date(ms).toISOString()

const read = (path: string, member: string): Promise<string> =>
  readFile(path, 'utf8').catch((cause) => {
    const param = `gateway.tls.${member}`
    throw new SealedError('config.invalid', `cannot read ${path}, named by ${param}`, {
      param,
      cause,
    })
  })
