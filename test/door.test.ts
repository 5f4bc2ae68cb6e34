// Both doors of a real instance, as callers use them when nothing goes wrong: what comes back verifies, by our verifier
// and by tpm2_checkquote, against the very bytes sent and received.
import { createHash } from 'node:crypto'
import { fetchReceipt, update, write } from '@sealed/client'
import {
  decodeReceipt,
  documentDigest,
  fromBase64url,
  fromHex,
  keySetDigest,
  type Policy,
  pcrMap,
  toBase64url,
  unspliceReceipt,
  utf8,
  verifyDocument,
  verifyReceipt,
} from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkQuote, extraDataOf } from './support/check-quote.ts'
import { CHAT, checkpointOf, statementOf, typesOf, World } from './support/instance.ts'

let world: World
beforeAll(async () => {
  world = await World.start()
})
afterAll(() => world?.close())

const COMPLETED = [
  'request.received',
  'seal.enforced',
  'input_key.revealed',
  'activations.observed',
  'registry.applied',
  'seal.checked',
  'output.committed',
  'seal.released',
  'response.released',
]

describe('the plain door', () => {
  test('answers an ordinary request, and the stapled receipt verifies against its bytes', async () => {
    const nonce = toBase64url(crypto.getRandomValues(new Uint8Array(32)))
    const reply = await world.chat('hello', {}, { headers: { 'sealed-nonce': nonce } })
    expect(reply.status).toBe(200)
    expect(JSON.parse(reply.text)).toMatchObject({
      object: 'chat.completion',
      choices: [{ message: { role: 'assistant', content: 'ok' } }],
    })
    const { output, receipt } = unspliceReceipt(reply.bytes)!
    expect(typesOf(receipt)).toEqual(COMPLETED)
    const evidence = {
      document: world.attested.document,
      receipt,
      nonce,
      salt: fromBase64url(reply.headers.get('sealed-salt')!),
      input: world.body('hello'),
      output,
    }
    const policy = await world.policy()
    const verdict = await verifyReceipt(evidence, policy)
    expect(verdict.checks.filter(({ result }) => result === 'fail')).toEqual([])
    expect(verdict.outcome).toBe('verified')
    expect(verdict.claims).toMatchObject({ door: 'plain', result: 'completed' })
    for (const change of [
      { input: world.body('hello!') },
      { output: utf8(`${new TextDecoder().decode(output)} `) },
      { salt: new Uint8Array(32) },
      { nonce: toBase64url(new Uint8Array(32)) },
    ])
      expect((await verifyReceipt({ ...evidence, ...change }, policy)).outcome).toBe('failed')
  })

  test('keeps the same receipt under its id, and gives the id alone when that is preferred', async () => {
    const stapled = await world.chat('by id')
    const id = stapled.headers.get('sealed-receipt-id')!
    expect(decodeReceipt(stapled.receipt!).leaf.session).toBe(id)
    expect(await fetchReceipt(world.attested.gateway, id)).toBe(stapled.receipt)
    const json = await world.send(`/v1/receipts/${id}`, undefined, {
      headers: { accept: 'application/json' },
    })
    expect(JSON.parse(json.text)).toEqual({ receipt: stapled.receipt })
    const bare = await world.chat('by id', {}, { headers: { prefer: 'receipt=id' } })
    expect(bare.headers.get('preference-applied')).toBe('receipt=id')
    expect(bare.receipt).toBeUndefined()
    const kept = await world.receipt(bare.headers.get('sealed-receipt-id')!)
    const digest = createHash('sha256').update(bare.bytes).digest()
    const salt = fromBase64url(bare.headers.get('sealed-salt')!)
    const key = await crypto.subtle.importKey(
      'raw',
      salt,
      { name: 'HMAC', hash: 'SHA-256' },
      false,
      ['sign'],
    )
    const expected = Buffer.from(await crypto.subtle.sign('HMAC', key, digest)).toString('hex')
    expect(statementOf(kept, 'output.committed').output_digest).toBe(expected)
  })

  test('serves text completions of the same workload', async () => {
    const body = JSON.stringify({ model: 'noop', prompt: 'hello' })
    const headers = { 'content-type': 'application/json' }
    const reply = await world.send('/v1/completions', body, { headers })
    expect(JSON.parse(reply.text)).toMatchObject({ object: 'text_completion' })
    expect(statementOf(reply.receipt!, 'request.received').endpoint).toBe('/v1/completions')
  })
})

describe('what anyone may ask', () => {
  test('models and health', async () => {
    const models = await world.send('/v1/models')
    expect(JSON.parse(models.text)).toEqual({
      object: 'list',
      data: [{ id: 'noop', object: 'model', created: 0, owned_by: 'noop' }],
    })
    const health = await world.send('/health')
    expect([health.status, JSON.parse(health.text)]).toEqual([200, { ready: true, reason: '' }])
  })

  test('attestation: fresh for a nonce, the same document by its digest', async () => {
    const nonce = crypto.getRandomValues(new Uint8Array(32))
    const fresh = await world.send(`/v1/attestation?nonce=${toBase64url(nonce)}`)
    const { challenge, document } = JSON.parse(fresh.text)
    const policy = await world.policy()
    const judge = async (asked: Uint8Array) =>
      verifyDocument({ document, challenge: { nonce: asked, answer: challenge } }, policy)
    expect((await judge(nonce)).outcome).toBe('verified')
    expect((await judge(new Uint8Array(32))).outcome).toBe('failed')
    const digest = await documentDigest(document)
    const byDigest = await world.send(`/v1/attestation/${digest}`)
    expect(JSON.parse(byDigest.text)).toEqual(document)
    expect(createHash('sha256').update(byDigest.bytes).digest('hex')).toBe(digest)
    const unknown = await world.send(`/v1/attestation/${'0'.repeat(64)}`)
    expect([unknown.status, unknown.code]).toEqual([404, 'request.not_found'])
    const receipt = await world.send(`/v1/receipts/${'0'.repeat(32)}`)
    expect([receipt.status, receipt.code]).toEqual([404, 'request.not_found'])
  })

  test('attestation: what was booted, by log and reference values, and not under others', async () => {
    const { document } = world.attested
    const policy = await world.policy()
    const { claims, outcome } = await verifyDocument({ document }, policy)
    expect(outcome).toBe('verified')
    expect(claims).toMatchObject({
      firmware: { technology: 'none', version: 2 },
      image: { name: 'software-tpm', version: '1' },
      instance: { project: 'software-tpm', zone: 'software' },
    })
    const [image] = policy.images
    const failing = async (changed: Partial<Policy>, log = document.event_log!) => {
      const told = { ...document, event_log: log }
      const { checks } = await verifyDocument({ document: told }, { ...policy, ...changed })
      return checks.filter(({ result }) => result === 'fail').map(({ id }) => id)
    }
    const other = { digests: ['ab'.repeat(32)], index: 11 }
    const pcrs = image!.pcrs.map((row) => (row.index === 11 ? other : row))
    expect(await failing({ images: [{ ...image!, pcrs }] })).toEqual(['document.pcr_reference'])
    const uki = image!.uki!.toReversed()
    expect(await failing({ images: [{ ...image!, uki }] })).toEqual(['document.boot_application'])
    expect(await failing({ instances: { zones: ['elsewhere'] } })).toEqual(['document.instance'])
    const log = fromBase64url(document.event_log!)
    expect(await failing({}, toBase64url(log.slice(0, -1)))).toEqual(['document.event_log'])
  })

  test('many nonces at once share quotes, and each is answered for itself', async () => {
    const policy = await world.policy()
    const outcomes = Array.from({ length: 20 }, async () => {
      const nonce = crypto.getRandomValues(new Uint8Array(16 + Math.floor(Math.random() * 48)))
      const { text } = await world.send(`/v1/attestation?nonce=${toBase64url(nonce)}`)
      const { challenge: answer, document } = JSON.parse(text)
      return (await verifyDocument({ document, challenge: { nonce, answer } }, policy)).outcome
    })
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['verified']))
  })
})

describe('the quote in a receipt', () => {
  test('is accepted by tpm2_checkquote for this checkpoint and for no other', async () => {
    const reply = await world.chat('quoted')
    const receipt = decodeReceipt(reply.receipt!)
    const { document } = world.attested
    const { body, checkpoint } = await checkpointOf(receipt, world.attested)
    expect(checkpoint.size).toBe(receipt.index + 1)
    const k = await keySetDigest(document.key_set)
    const quote = {
      attest: fromBase64url(receipt.quote!.attest),
      signature: fromBase64url(receipt.quote!.signature),
      certificate: fromBase64url(document.ak!.chain[0]!),
      pcrs: pcrMap(document),
      extraData: extraDataOf('checkpoint', k, utf8(body)),
    }
    expect(await checkQuote(quote)).toBe('accepted')
    const later = utf8(body.replace(/^\d+$/m, String(checkpoint.size + 1)))
    const other = { ...quote, extraData: extraDataOf('checkpoint', k, later) }
    expect(await checkQuote(other)).not.toBe('accepted')
    const purpose = { ...quote, extraData: extraDataOf('keys', k, utf8(body)) }
    expect(await checkQuote(purpose)).not.toBe('accepted')
    const pcrs = new Map(quote.pcrs).set(14, fromHex('00'.repeat(32)))
    expect(await checkQuote({ ...quote, pcrs })).not.toBe('accepted')
  })
})

describe('the envelope door', () => {
  test('asks, writes, updates and reads, and every receipt verifies', async () => {
    const [authority] = world.authorities
    const common = { attested: world.attested, endpoint: CHAT }
    const asked = await world.ask('hello through an envelope')
    expect(asked.verdict.outcome).toBe('verified')
    expect(asked.verdict.checks.find(({ id }) => id === 'receipt.request')?.result).toBe('pass')
    expect(JSON.parse(new TextDecoder().decode(asked.output)).model).toBe('noop')
    expect(statementOf(asked.receipt, 'request.received').operation).toBe('update')

    const body = world.body('a text about knitting')
    const written = await write({ ...common, body, authority, capability: 'knitting' })
    expect(typesOf(written.receipt)).toEqual(COMPLETED)
    expect(statementOf(written.receipt, 'registry.applied')).toMatchObject({
      operation: 'write',
      metered: true,
    })
    expect(await world.meter('knitting')).toBe(0)

    const updated = await update({ ...common, body })
    expect(statementOf(updated.receipt, 'registry.applied').operation).toBe('update')
    expect(await world.meter('knitting')).toBe(1_000_000)

    const reading = await world.reading()
    expect(reading.authority).toBe(authority.id)
    expect(reading.coverage).toMatchObject({ boots: 1, rollbacks: 0, sessions_unmetered: 0 })
    expect(await world.meter('knitting', world.authorities[1])).toBeUndefined()
  })

  test('a receipt by id is the one that the answer carried', async () => {
    const answer = await world.ask('by id')
    const { session } = decodeReceipt(answer.receipt).leaf
    expect(answer.receiptId).toBe(session)
    expect(await fetchReceipt(world.attested.gateway, session)).toBe(answer.receipt)
  })
})

describe('meters', () => {
  test('are the sum over 30 sessions through both doors, ten at a time', async () => {
    const [authority] = world.authorities
    const prompts = ['one', 'two', 'three', 'a sum', 'another sum']
    const common = { attested: world.attested, endpoint: CHAT, authority }
    for (const text of ['a sum', 'a second sample'])
      await write({ ...common, body: world.body(text), capability: 'sums' })
    const total = async () => (await world.meter('sums'))!
    const alone = new Map<string, number>()
    for (const prompt of prompts) {
      const before = await total()
      await world.chat(prompt)
      alone.set(prompt, (await total()) - before)
    }
    expect(alone.get('a sum')).toBe(1_000_000)
    const before = await total()
    const sessions = (await world.reading()).coverage.sessions
    const queue = Array.from({ length: 30 }, (_, i) => [prompts[i % 5]!, i % 2 === 0] as const)
    const receipts = new Set<string>()
    const worker = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const [prompt, plain] = next
        const { receipt } = plain ? await world.chat(prompt) : await world.ask(prompt)
        receipts.add(decodeReceipt(receipt!).leaf.session)
      }
    }
    await Promise.all(Array.from({ length: 10 }, worker))
    expect(receipts.size).toBe(30)
    const each = [...alone.values()].reduce((sum, value) => sum + value)
    expect((await total()) - before).toBe(6 * each)
    expect((await world.reading()).coverage.sessions - sessions).toBe(30)
  })
})
