// `nix/keys DIRECTORY`: makes the keys of whoever releases images, with OpenSSL: PK, KEK and db of Secure Boot (RSA-2048,
// for db the key that signs unified kernel images), and the key that says which images open a state partition (P-256).
// Private halves never leave the directory; certificates and signature lists are what machines get.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { certificateList, NOTHING_FORBIDDEN } from './signature-lists.ts'

const DAYS = '3650'
const directory = process.argv[2]
if (!directory) {
  process.stderr.write('usage: nix/keys DIRECTORY\n')
  process.exit(2)
}
if (existsSync(join(directory, 'db.key'))) {
  process.stderr.write(`${directory} has keys already; they are not written over\n`)
  process.exit(1)
}
mkdirSync(directory, { recursive: true, mode: 0o700 })
const openssl = (...args: string[]) =>
  execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })

process.umask(0o077)
for (const name of ['PK', 'KEK', 'db']) {
  openssl(
    ...['req', '-new', '-x509', '-newkey', 'rsa:2048', '-sha256', '-noenc', '-days', DAYS],
    ...[
      '-subj',
      `/CN=Sealed computation ${name}/`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
    ],
  )
  openssl('x509', '-in', `${name}.pem`, '-outform', 'DER', '-out', `${name}.der`)
  writeFileSync(
    join(directory, `${name}.esl`),
    certificateList(readFileSync(join(directory, `${name}.der`))),
  )
}
writeFileSync(join(directory, 'dbx.esl'), NOTHING_FORBIDDEN)
openssl(...['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'state-policy.key'])
openssl(...['pkey', '-in', 'state-policy.key', '-pubout', '-out', 'state-policy.pem'])
process.stdout.write(`keys in ${directory}: keep *.key where images are released\n`)
