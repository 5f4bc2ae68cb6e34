// Witnesses of the test machine's log, and the proofs that lead a receipt's leaf to what they have cosigned.
import { type Bytes, fromHex, toBase64url, toHex } from '../bytes.ts'
import { type Checkpoint, checkpointBody, logOrigin, signNote } from '../checkpoint.ts'
import { cosign, type WitnessKey } from '../cosignature.ts'
import { leafHash, merklePath, merkleRoot } from '../merkle.ts'
import { leafBytes, type Receipt } from '../receipt.ts'
import { encodeTlogProof, type TlogProof } from '../tlog-proof.ts'
import { hexOf, NOW, type World } from './test-world.ts'

export interface TestWitness {
  key: WitnessKey
  cosign: (body: string, seconds?: number) => Promise<string>
}

export async function createWitness(name: string): Promise<TestWitness> {
  const pair = (await crypto.subtle.generateKey('Ed25519', true, [
    'sign',
    'verify',
  ])) as CryptoKeyPair
  const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))
  const sign = async (bytes: Uint8Array) =>
    new Uint8Array(await crypto.subtle.sign('Ed25519', pair.privateKey, bytes as Bytes))
  return {
    key: { name, public_key: toBase64url(publicKey) },
    cosign: (body, seconds = NOW / 1000) => cosign(body, name, publicKey, seconds, sign),
  }
}

/** What a test makes a proof say; the log signs it, the witnesses cosign it. */
export interface ProofLies {
  /** The leaves below the checkpoint, the receipt's own at its place. */
  hashes?: (hashes: Bytes[]) => void
  checkpoint?: (checkpoint: Checkpoint) => void
  /** Of the leaf that the path leads from, where it is not the receipt's. */
  index?: number
  proof?: (proof: TlogProof) => void
  /** Lines under the checkpoint. */
  lines?: (body: string) => Promise<string>
}

/** The proof of a receipt's leaf in the same log, grown to thirteen. */
export async function makeProof(
  world: World,
  receipt: Receipt,
  lies: ProofLies = {},
): Promise<string> {
  const hashes = await Promise.all(Array.from({ length: 13 }, (_, i) => leafHash(Uint8Array.of(i))))
  hashes[receipt.index] = await leafHash(leafBytes(receipt.leaf))
  lies.hashes?.(hashes)
  const checkpoint: Checkpoint = {
    origin: logOrigin(world.k),
    size: hashes.length,
    root: await merkleRoot(hashes),
    state: fromHex(hexOf(1)),
    counter: 10n,
    utcMs: NOW + 400,
    akName: toHex(world.ak.name),
    resetCount: 7,
    restartCount: 1,
  }
  lies.checkpoint?.(checkpoint)
  const body = checkpointBody(checkpoint)
  const index = lies.index ?? receipt.index
  const ledgerKey = new Uint8Array(await crypto.subtle.exportKey('raw', world.ledger.publicKey))
  const note = await signNote(body, checkpoint.origin, ledgerKey, world.sign)
  const proof: TlogProof = {
    index,
    path: await merklePath(hashes, index),
    checkpoint: note + ((await lies.lines?.(body)) ?? ''),
  }
  lies.proof?.(proof)
  return encodeTlogProof(proof)
}
