// The extension of an attestation key's certificate in which Google says where a virtual machine runs and whose it is.
// A claim of the certificate, to be read only after the chain was verified.
import { SealedError } from '../errors.ts'
import type { Policy } from '../policy.ts'
import { ensure } from './checks.ts'
import { DerReader } from './der.ts'

export const GCE_INSTANCE_OID = '1.3.6.1.4.1.11129.2.1.21'

export interface GceInstance {
  zone: string
  /** The zone's, where its name has the form of Google's zones. */
  region?: string
  project: string
  /** Decimal, 64 bits. */
  project_number: string
  /** Decimal, 64 bits. */
  id: string
  name: string
}

/** Names of zones, projects and instances; a project's may have its domain before it (`example.com:name`). */
const NAME = /^[a-z0-9](?:[a-z0-9.:-]{0,61}[a-z0-9])?$/

/**
 * Parses the extension's value. Absent for a machine that is not of production, as with Google's own verifier: then
 * nothing that the certificate says of it counts. Throws `evidence.invalid`.
 *
 * ```
 * SEQUENCE { zone UTF8String, project number INTEGER, project UTF8String, instance id INTEGER, instance name UTF8String,
 *   [0] EXPLICIT SEQUENCE { [0] security version INTEGER, [1] is production BOOLEAN, [2]…[5] BOOLEAN } OPTIONAL }
 * ```
 */
export function parseGceInstance(der: Uint8Array): GceInstance | undefined {
  const outer = new DerReader(der)
  const r = outer.sequence()
  outer.end()
  const zone = nameFrom(r, 'zone')
  const project_number = String(r.unsigned())
  const project = nameFrom(r, 'project')
  const id = String(r.unsigned())
  const name = nameFrom(r, 'instance')
  const properties = r.explicit(0)
  r.end()
  const region = /^([a-z]+-[a-z]+[0-9]+)-[a-z]$/.exec(zone)?.[1]
  return properties && isProduction(properties)
    ? { zone, ...(region !== undefined && { region }), project, project_number, id, name }
    : undefined
}

/** Further properties have no published meaning; they must be well-formed and are otherwise left alone. */
function isProduction(properties: DerReader): boolean {
  const r = properties.sequence()
  properties.end()
  whole(r.explicit(0), (value) => value.unsigned())
  const production = whole(r.explicit(1), (value) => value.boolean())
  for (const n of [2, 3, 4, 5]) whole(r.explicit(n), (value) => value.boolean())
  r.end()
  return production === true
}

function whole<T>(reader: DerReader | undefined, read: (reader: DerReader) => T): T | undefined {
  if (!reader) return undefined
  const value = read(reader)
  reader.end()
  return value
}

function nameFrom(r: DerReader, what: string): string {
  const text = r.text()
  if (!NAME.test(text))
    throw new SealedError('evidence.invalid', `the ${what} in the certificate is no name`)
  return text
}

/** Fails unless the machine runs where the policy says. */
export function acceptInstance(
  instance: GceInstance | undefined,
  { projects, zones }: NonNullable<Policy['instances']>,
): void {
  ensure(instance !== undefined, 'the certificate does not say where the machine runs')
  const { project, zone } = instance
  ensure(!projects || projects.includes(project), `project ${project} is not in the policy`)
  ensure(!zones || zones.includes(zone), `zone ${zone} is not in the policy`)
}
