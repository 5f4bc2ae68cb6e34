// The RSA keys that clients wrap to: each valid for a day, the next one made ten minutes before, each signed by the
// ledger key. A key whose time is over opens nothing.
import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import {
  SealedError,
  sha256Hex,
  type TransportKeyRecord,
  toBase64url,
  transportKeyMessage,
} from '@sealed/protocol'
import type { LedgerKey } from './ledger-key.ts'

const LIFETIME_MS = 24 * 3_600_000
/** Both keys are accepted for this long. */
export const OVERLAP_MS = 10 * 60_000
const MODULUS_BITS = 3072

export interface TransportKey {
  record: TransportKeyRecord
  key: CryptoKey
  privateKey: KeyObject
}

/** Keeps what must survive a restart of the embassy and must not survive a reboot. */
export interface KeyFiles {
  read(name: string): Promise<string | undefined>
  write(name: string, content: string): Promise<void>
}
const FILE = 'transport.json'

export class TransportKeys {
  readonly #ledger: LedgerKey
  readonly #files: KeyFiles
  readonly #now: () => number
  #keys: TransportKey[] = []

  constructor(ledger: LedgerKey, files: KeyFiles, now: () => number = Date.now) {
    this.#ledger = ledger
    this.#files = files
    this.#now = now
  }

  /** Loads the keys of this boot and makes one when none is current. Returns whether the set changed. */
  async refresh(): Promise<boolean> {
    if (this.#keys.length === 0) await this.#load()
    const now = this.#now()
    const kept = this.#keys.filter(({ record }) => record.not_after_ms > now)
    const needed = !kept.some(({ record }) => record.not_after_ms > now + OVERLAP_MS)
    if (!needed && kept.length === this.#keys.length) return false
    this.#keys = needed ? [...kept, await this.#make(now)] : kept
    await this.#save()
    return true
  }

  /** Milliseconds until `refresh` has something to do. */
  nextRefresh(): number {
    const ends = this.#keys.map(({ record }) => record.not_after_ms)
    return Math.max(
      1_000,
      Math.min(Math.max(...ends) - OVERLAP_MS, Math.min(...ends)) - this.#now() + 1,
    )
  }

  records(): TransportKeyRecord[] {
    return this.#keys.map(({ record }) => record)
  }

  /** The key of this id, if its time is now; else `envelope.key_unknown`. */
  byId(id: string): TransportKey {
    const now = this.#now()
    const found = this.#keys.find(({ record }) => record.id === id)
    if (!found || found.record.not_after_ms < now || found.record.not_before_ms > now)
      throw new SealedError(
        'envelope.key_unknown',
        'this transport key is not current here: fetch the attestation again',
        { param: 'key_id' },
      )
    return found
  }

  async #make(now: number): Promise<TransportKey> {
    const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', {
      modulusLength: MODULUS_BITS,
    })
    const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
    const unsigned = {
      id: await sha256Hex(spki),
      not_after_ms: now + LIFETIME_MS,
      not_before_ms: now - 60_000,
      spki: toBase64url(spki),
      version: 1 as const,
    }
    const signature = toBase64url(this.#ledger.sign(transportKeyMessage(unsigned)))
    return { record: { ...unsigned, signature }, privateKey, key: await importPrivate(privateKey) }
  }

  async #load(): Promise<void> {
    const saved = await this.#files.read(FILE)
    if (saved === undefined) return
    for (const { record, pem } of JSON.parse(saved) as {
      record: TransportKeyRecord
      pem: string
    }[]) {
      const privateKey = createPrivateKey(pem)
      this.#keys.push({ record, privateKey, key: await importPrivate(privateKey) })
    }
  }

  async #save(): Promise<void> {
    const rows = this.#keys.map(({ record, privateKey }) => ({
      record,
      pem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    }))
    await this.#files.write(FILE, JSON.stringify(rows))
  }
}

const importPrivate = (key: KeyObject): Promise<CryptoKey> =>
  crypto.subtle.importKey(
    'pkcs8',
    new Uint8Array(key.export({ type: 'pkcs8', format: 'der' })),
    { name: 'RSA-OAEP', hash: 'SHA-256' },
    false,
    ['decrypt'],
  )
