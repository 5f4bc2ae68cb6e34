import { fromHex, leafHash, randomBytes, rootFromPath, toHex } from '@sealed/protocol'
import { expect, test } from 'vitest'
import { FakeTpm } from '../test-support/fake-tpm.ts'
import { type Challenge, Challenges } from './challenges.ts'

const K = new Uint8Array(32).fill(1)

function held() {
  const tpm = new FakeTpm()
  let release = () => {}
  tpm.gate = new Promise((resolve) => {
    release = resolve
  })
  return { tpm, release, challenges: new Challenges(tpm, K) }
}
const rootOf = async ({ index, path, size }: Challenge, nonce: Uint8Array) =>
  rootFromPath(
    await leafHash(nonce),
    index,
    size,
    path.map((hash) => fromHex(hash)),
  )

test('a thousand anonymous callers cost the TPM two quotes, one after the other', async () => {
  const { challenges, release, tpm } = held()
  const nonces = Array.from({ length: 1000 }, () => randomBytes(32))
  const answers = Promise.all(nonces.map((nonce) => challenges.answer(nonce)))
  release()
  const given = await answers
  expect(tpm.quotes).toBe(2)
  expect(new Set(given.map(({ quote }) => quote.attest)).size).toBe(2)
})

test('each nonce is led to the quoted root by its own path, and no other nonce is', async () => {
  const { challenges, release } = held()
  const nonces = Array.from({ length: 9 }, () => randomBytes(32))
  const answers = Promise.all(nonces.map((nonce) => challenges.answer(nonce)))
  release()
  const given = await answers
  const roots = await Promise.all(given.map((one, i) => rootOf(one, nonces[i]!)))
  for (const [i, one] of given.entries()) {
    const mates = given.flatMap((other, n) => (other.quote === one.quote ? [n] : []))
    for (const n of mates) expect(toHex(roots[n]!)).toBe(toHex(roots[i]!))
    expect(toHex((await rootOf(one, randomBytes(32)))!)).not.toBe(toHex(roots[i]!))
  }
})

test('more than 4,096 that wait are turned away, and those before them answered', async () => {
  const { challenges, release } = held()
  const first = challenges.answer(randomBytes(32))
  const waiting = Array.from({ length: 4096 }, () => challenges.answer(randomBytes(32)))
  const turned = await challenges.answer(randomBytes(32)).catch((error: unknown) => error)
  expect(turned).toMatchObject({ code: 'attestation.busy', remedy: 'retry' })
  release()
  expect((await first).size).toBe(1)
  expect((await Promise.all(waiting)).length).toBe(4096)
})

test('a TPM that fails fails those who waited for it, and nobody after them', async () => {
  const { challenges, release, tpm } = held()
  tpm.failAt = 0
  const failing = challenges.answer(randomBytes(32)).catch((error: unknown) => error)
  release()
  expect(await failing).toMatchObject({ code: 'tpm.failed' })
  expect((await challenges.answer(randomBytes(32))).size).toBe(1)
})
