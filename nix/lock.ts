// The form of lock.json, and where its files can be had.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ARCHIVE } from './apt.ts'

export interface LockedPackage {
  archive: 'debian' | 'debian-security'
  name: string
  /** In the archive: `pool/…`. */
  path: string
  sha256: string
  /** What is part of the image, and what only builds it. */
  use: 'image' | 'tools'
  version: string
}

export interface Lock {
  /** The one program that runs before anything is unpacked, by the digest of its Nix archive. */
  builder: { nar_sha256: string; package: string; path: string }
  packages: LockedPackage[]
  /** Time of a snapshot that has all of them, as its address writes it. */
  snapshot: string
}

export const readLock = (): Lock =>
  JSON.parse(readFileSync(join(import.meta.dirname, 'lock.json'), 'utf8')) as Lock

/** The mirror first: the snapshot is slow, and for what the mirror has dropped. */
export const addressesOf = ({ archive, path }: LockedPackage, { snapshot }: Lock): string[] => [
  `${ARCHIVE}/${archive}/${path}`,
  `http://snapshot.debian.org/archive/${archive}/${snapshot}/${path}`,
]

/** A locked input that neither mirror nor snapshot has, or that is another by now. */
export class NotToBeHad extends Error {}
