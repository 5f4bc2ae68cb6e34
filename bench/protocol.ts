// What formats and checks cost, beside what a user would take instead.
import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt } from 'node:crypto'
import {
  canonicalize,
  decryptToken,
  encryptToken,
  randomBytes,
  toBase64url,
} from '@sealed/protocol'
import fernet from 'fernet'
import forge from 'node-forge'
import { median, table } from './support/table.ts'

async function time(rounds: number, act: () => unknown): Promise<number> {
  for (let i = 0; i < 3; i++) await act()
  const walls: number[] = []
  for (let i = 0; i < rounds; i++) {
    const from = performance.now()
    await act()
    walls.push(performance.now() - from)
  }
  return median(walls)
}

type Row = [what: string, ours: number, instead: string, theirs: number]
const show = (title: string, rows: readonly Row[]) =>
  table(
    title,
    ['', 'ours ms', 'instead', 'ms', 'ratio'],
    rows.map(([what, ours, instead, theirs]) => [
      what,
      ours.toFixed(3),
      instead,
      theirs.toFixed(3),
      (theirs / ours).toFixed(1),
    ]),
  )

export async function benchProtocol(): Promise<void> {
  const key = randomBytes(32)
  const secret = new fernet.Secret(`${toBase64url(key)}=`)
  const rows: Row[] = []
  for (const [name, size, rounds] of [
    ['1 KiB', 1024, 60],
    ['64 KiB', 65_536, 12],
  ] as const) {
    const text = 'x'.repeat(size)
    const bytes = new TextEncoder().encode(text)
    const token = await encryptToken(key, bytes)
    rows.push([
      `Fernet, encrypt ${name}`,
      await time(rounds, () => encryptToken(key, bytes)),
      'npm fernet',
      await time(rounds, () => new fernet.Token({ secret }).encode(text)),
    ])
    rows.push([
      `Fernet, decrypt ${name}`,
      await time(rounds, () => decryptToken(key, token)),
      'npm fernet',
      await time(rounds, () => new fernet.Token({ secret, token, ttl: 0 }).decode()),
    ])
  }
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const oaep = { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  const wrapped = publicEncrypt(oaep, Buffer.alloc(128))
  const theirs = forge.pki.privateKeyFromPem(
    privateKey.export({ type: 'pkcs1', format: 'pem' }) as string,
  )
  const md = () => ({ md: forge.md.sha256.create(), mgf1: { md: forge.md.sha256.create() } })
  rows.push([
    'RSA-3072 unwrap',
    await time(30, () => privateDecrypt({ ...oaep, key: privateKey }, wrapped)),
    'node-forge',
    await time(8, () => theirs.decrypt(wrapped.toString('binary'), 'RSA-OAEP', md())),
  ])
  const statement = {
    type: 'seal.enforced',
    seq: 1,
    list: Array.from({ length: 40 }, (_, i) => ({ name: `member ${i}`, value: i })),
  }
  rows.push([
    'canonical JSON',
    await time(300, () => canonicalize(statement)),
    'JSON.stringify',
    await time(300, () => JSON.stringify(statement)),
  ])
  show('protocol', rows)
}
