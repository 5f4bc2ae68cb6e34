// What mode `acme` keeps in the runtime directory, a tmpfs that is gone with the boot: the account's key, born here, the
// certificate, and how long to wait after a failure. Nothing of it is ever written to a disk.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeWhole } from '../node/own-directory.ts'
import { acceptCertificate, type Certificate } from './certificate.ts'
import type { Pending } from './renewal.ts'

export class AcmeFiles {
  readonly #directory: string

  /** A directory of the gateway's user, which nobody else may enter. */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** PEM of the account's key: what is there, or a new one. */
  async accountKey(): Promise<string> {
    const saved = await this.#read('account.pem')
    if (saved !== undefined) return saved
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    await writeWhole(join(this.#directory, 'account.pem'), pem, 0o600)
    return pem
  }

  /** The certificate of an earlier process of this boot, where it still serves. */
  async certificate(
    key: KeyObject,
    names: readonly string[],
    now: number,
  ): Promise<Certificate | undefined> {
    const chain = await this.#read('cert.pem')
    try {
      return chain === undefined ? undefined : acceptCertificate(chain, key, names, now)
    } catch {
      // Expired, or for other names than are asked for now: there will be another.
      return undefined
    }
  }

  keepCertificate({ chain }: Certificate): Promise<void> {
    return writeWhole(join(this.#directory, 'cert.pem'), chain, 0o600)
  }

  async pending(): Promise<Pending | undefined> {
    const text = await this.#read('pending.json')
    return text === undefined ? undefined : (JSON.parse(text) as Pending)
  }

  async keepPending(pending: Pending | undefined): Promise<void> {
    const path = join(this.#directory, 'pending.json')
    if (pending) await writeWhole(path, JSON.stringify(pending), 0o600)
    else await rm(path, { force: true })
  }

  #read(name: string): Promise<string | undefined> {
    return readFile(join(this.#directory, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
  }
}
