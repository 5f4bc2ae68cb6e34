// A bit flipped anywhere in evidence is seen, and by the check whose business it is.
import { beforeAll, describe, expect, it } from 'vitest'
import type { AttestationDocument } from '../attestation.ts'
import { fromBase64url, toBase64url, utf8 } from '../bytes.ts'
import { canonicalize } from '../json.ts'
import { encodeReceipt } from '../receipt.ts'
import { failures, flip, Scene } from './test-scene.ts'
import { makeReceipt, NOW } from './test-world.ts'
import { verifyDocument } from './verify-receipt.ts'

let scene: Scene
beforeAll(async () => {
  scene = await Scene.create()
})

describe('a flipped bit', () => {
  /** About `count` bits, spread over all of it, first and last among them. */
  const sample = (bytes: Uint8Array, count: number) =>
    Array.from({ length: count }, (_, i) => Math.floor((i * (bytes.length * 8 - 1)) / (count - 1)))

  it.each(['attest', 'signature'] as const)(
    'in %s of the receipt’s quote is seen',
    async (part) => {
      const { document, receipt } = await makeReceipt(scene.world, scene.completed.statements)
      const bytes = fromBase64url(receipt.quote[part])
      for (const bit of sample(bytes, 60)) {
        const quote = { ...receipt.quote, [part]: toBase64url(flip(bytes, bit)) }
        const verdict = await scene.judge({
          input: { document, receipt: encodeReceipt({ ...receipt, quote }) },
        })
        expect(failures(verdict)).toContain('receipt.quote_signature')
      }
    },
  )

  it('in the checkpoint is seen', async () => {
    const { document, receipt } = await makeReceipt(scene.world, scene.completed.statements)
    const bytes = utf8(receipt.checkpoint)
    for (const bit of sample(bytes, 60)) {
      const checkpoint = new TextDecoder().decode(flip(bytes, bit))
      const verdict = await scene.judge({
        input: { document, receipt: encodeReceipt({ ...receipt, checkpoint }) },
      })
      expect(failures(verdict)).toContain('receipt.checkpoint_signature')
    }
  })

  it('in the path is seen', async () => {
    const { document, receipt } = await makeReceipt(scene.world, scene.completed.statements)
    for (const [i, hash] of receipt.path.entries()) {
      const bytes = fromBase64url(hash)
      for (const bit of sample(bytes, 10)) {
        const path = receipt.path.with(i, toBase64url(flip(bytes, bit)))
        const verdict = await scene.judge({
          input: { document, receipt: encodeReceipt({ ...receipt, path }) },
        })
        expect(failures(verdict)).toEqual(['receipt.inclusion'])
      }
    }
  })

  it('anywhere in the receipt is seen', async () => {
    const { input } = await scene.lie({})
    const bytes = fromBase64url(input.receipt)
    for (const bit of sample(bytes, 150)) {
      const verdict = await scene.judge({
        input: { ...input, receipt: toBase64url(flip(bytes, bit)) },
      })
      expect(verdict.outcome).toBe('failed')
    }
  })

  it('in what a certificate says, or in its signature, is seen', async () => {
    for (const [i, der] of scene.world.chain.entries()) {
      // SEQUENCE (4 bytes) of tbsCertificate (tag and length), algorithm, and a BIT STRING that ends in `s`
      const said = 8 * (der[5] === 0x81 ? 4 + 3 + der[6]! : 4 + 4 + der[6]! * 256 + der[7]!)
      const bits = [...sample(der.subarray(0, said / 8), 80), ...sample(der.subarray(-28), 20)]
      for (const [n, at] of bits.entries()) {
        const bit = n < 80 ? at : 8 * (der.length - 28) + at
        const document = structuredClone(scene.world.document)
        document.ak.chain[i] = toBase64url(flip(der, bit))
        const verdict = await verifyDocument({ document }, scene.world.policy, NOW)
        expect(failures(verdict), `certificate ${i}, bit ${bit}`).toEqual(['document.ak_chain'])
      }
    }
  })

  it('anywhere in the document is seen', async () => {
    const { input } = await scene.lie({})
    const text = canonicalize(input.document)
    const bytes = utf8(text)
    for (const bit of sample(bytes, 150)) {
      let document: AttestationDocument
      try {
        document = JSON.parse(new TextDecoder().decode(flip(bytes, bit)))
      } catch {
        continue
      }
      expect((await scene.judge({ input: { ...input, document } })).outcome).toBe('failed')
    }
  })
})
