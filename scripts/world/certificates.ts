// A certificate authority shaped like Google's for attestation keys, and plainly not Google's.
// Its private keys live in the directory it is given, which the caller destroys after issuing.
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './run.ts'

/** Who the machine is: what a verifier reads in subject and instance extension. */
export interface Instance {
  readonly zone: string
  readonly project: string
  /** Decimal, up to 63 bits. */
  readonly id: string
  readonly name: string
}

const DAYS = { root: '36500', intermediate: '36500', leaf: '10950' }
const OPERATOR = 'O = Software TPM (not Google)'

const request = (names: readonly string[]) =>
  [
    '[req]',
    'prompt = no',
    'string_mask = utf8only',
    'distinguished_name = dn',
    '[dn]',
    ...names,
  ].join('\n')

/** Where certificates say that their issuers' lie: nowhere, unless someone serves them. */
export const NOWHERE = 'http://software-tpm.invalid'
const issuerAt = (issuers: string, name: string) =>
  `authorityInfoAccess = caIssuers;URI:${issuers}/${name}.crt`

const CA_EXTENSIONS = [
  'basicConstraints = critical, CA:TRUE',
  'keyUsage = critical, keyCertSign, cRLSign',
  'extendedKeyUsage = 2.23.133.8.1',
  'subjectKeyIdentifier = hash',
]

// 1.3.6.1.4.1.11129.2.1.21: SEQUENCE { zone, project number, project, instance id, instance name,
// [0] { [0] security version, [1] is production } }
const leafExtensions = (instance: Instance, issuers: string) => [
  'basicConstraints = critical, CA:FALSE',
  'keyUsage = critical, digitalSignature',
  'subjectKeyIdentifier = hash',
  'authorityKeyIdentifier = keyid',
  issuerAt(issuers, 'intermediate'),
  '1.3.6.1.4.1.11129.2.1.21 = ASN1:SEQUENCE:gce',
  '[gce]',
  `zone = UTF8:${instance.zone}`,
  'project_number = INTEGER:0',
  `project = UTF8:${instance.project}`,
  `instance_id = INTEGER:${instance.id}`,
  `instance_name = UTF8:${instance.name}`,
  'properties = EXPLICIT:0,SEQUENCE:properties',
  '[properties]',
  'security_version = EXPLICIT:0,INTEGER:0',
  'is_production = EXPLICIT:1,BOOLEAN:TRUE',
]

/** Makes root and intermediate in `directory`: `root.pem`, `root.der`, `chain.pem` (intermediate, then root). */
export async function createAuthority(directory: string, issuers = NOWHERE): Promise<void> {
  const openssl = (...args: string[]) => run('openssl', args, { cwd: directory })
  const names = (name: string) => [OPERATOR, `CN = EK/AK CA ${name}`]
  await Promise.all(
    ['root', 'intermediate'].map(async (name) => {
      await openssl('genrsa', '-out', `${name}.key`, '4096')
      const title = name === 'root' ? 'Root' : 'Intermediate'
      await writeFile(join(directory, `${name}.cnf`), request(names(title)))
      await openssl(
        'req',
        '-new',
        '-key',
        `${name}.key`,
        '-config',
        `${name}.cnf`,
        '-out',
        `${name}.csr`,
      )
    }),
  )
  await writeFile(join(directory, 'ca.ext'), CA_EXTENSIONS.join('\n'))
  await issue(directory, 'root', 'ca.ext', DAYS.root, ['-signkey', 'root.key'])
  const byRoot = ['-CA', 'root.pem', '-CAkey', 'root.key']
  const below = [...CA_EXTENSIONS, issuerAt(issuers, 'root')]
  await writeFile(join(directory, 'intermediate.ext'), below.join('\n'))
  await issue(directory, 'intermediate', 'intermediate.ext', DAYS.intermediate, byRoot)
  await openssl('x509', '-in', 'root.pem', '-outform', 'DER', '-out', 'root.der')
  const chain = ['intermediate.pem', 'root.pem'].map((name) => readFile(join(directory, name)))
  await writeFile(join(directory, 'chain.pem'), Buffer.concat(await Promise.all(chain)))
}

/** Certifies the public key in `<kind>.pub.pem` for the instance: DER in `<kind>.der`. */
export async function certifyKey(
  directory: string,
  kind: string,
  instance: Instance,
  issuers = NOWHERE,
) {
  const subject = [
    `L = ${instance.zone}`,
    'O = Google Compute Engine',
    `OU = ${instance.project}`,
    `CN = ${instance.id}`,
  ]
  await writeFile(join(directory, `${kind}.cnf`), request(subject))
  await writeFile(join(directory, `${kind}.ext`), leafExtensions(instance, issuers).join('\n'))
  // The key stays in the TPM, which signs no requests: any key signs this one, the real one is put in.
  const csr = ['-key', 'intermediate.key', '-config', `${kind}.cnf`, '-out', `${kind}.csr`]
  await run('openssl', ['req', '-new', ...csr], { cwd: directory })
  await issue(directory, kind, `${kind}.ext`, DAYS.leaf, [
    ...['-force_pubkey', `${kind}.pub.pem`],
    ...['-CA', 'intermediate.pem', '-CAkey', 'intermediate.key'],
  ])
  const der = ['-in', `${kind}.pem`, '-outform', 'DER', '-out', `${kind}.der`]
  await run('openssl', ['x509', ...der], { cwd: directory })
}

async function issue(
  directory: string,
  name: string,
  extensions: string,
  days: string,
  signer: readonly string[],
) {
  // The top bit is clear and the next one set: always positive, always the same length.
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x3f) | 0x40
  await run(
    'openssl',
    [
      ...['x509', '-req', '-sha256', '-days', days, '-set_serial', `0x${serial.toString('hex')}`],
      ...['-in', `${name}.csr`, '-extfile', extensions, '-out', `${name}.pem`, ...signer],
    ],
    { cwd: directory },
  )
}
