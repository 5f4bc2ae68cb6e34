// What an operator sees of the public certificate, as metrics; alerts go on the first and the last of them.
import { Counter, Gauge, type Registry } from 'prom-client'
import { REASONS, type Reason } from './failure.ts'

export interface CertificateMetrics {
  issued(): void
  failed(reason: Reason): void
  expired(): void
}

/** `notAfter` is that of the certificate that is served, milliseconds since 1970; undefined until there is one. */
export function certificateMetrics(
  registry: Registry,
  notAfter: () => number | undefined,
): CertificateMetrics {
  new Gauge({
    name: 'sealed_gateway_certificate_expires_seconds',
    help: 'Until the public certificate expires, negative from then on; 0 before there is one.',
    registers: [registry],
    collect() {
      const end = notAfter()
      this.set(end === undefined ? 0 : (end - Date.now()) / 1_000)
    },
  })
  const issued = new Counter({
    name: 'sealed_gateway_certificates_issued_total',
    help: 'Certificates that the ACME server issued and that are, or were, served.',
    registers: [registry],
  })
  const failures = new Counter({
    name: 'sealed_gateway_certificate_failures_total',
    help: 'Attempts to get a certificate that failed, by reason.',
    labelNames: ['reason'],
    registers: [registry],
  })
  for (const reason of REASONS) failures.inc({ reason }, 0)
  const expirations = new Counter({
    name: 'sealed_gateway_certificates_expired_total',
    help: 'Certificates that expired while they were served.',
    registers: [registry],
  })
  return {
    issued: () => issued.inc(),
    failed: (reason) => failures.inc({ reason }),
    expired: () => expirations.inc(),
  }
}
