// Our formats opened by another language's code, and Fernet tokens exchanged with the npm package of that name.
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  canonicalize,
  decryptToken,
  encryptToken,
  fromUtf8,
  importTransportKey,
  ResponseWriter,
  sealRequest,
  toBase64,
  toHex,
  utf8,
} from '@sealed/protocol'
import fernet from 'fernet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { craft } from './support/craft.ts'
import { World } from './support/instance.ts'
import { python } from './support/python.ts'

const DIGEST = 'ab'.repeat(32)

describe('Python’s cryptography package', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const seal = async () => {
    const to = await importTransportKey(publicKey.export({ type: 'spki', format: 'der' }))
    return sealRequest(to, {
      workload: 'noop',
      endpoint: '/v1/chat/completions',
      expect: { key_set: DIGEST, metering: 'required', seal_policy: 'request', workload: DIGEST },
      input: utf8('naïve input'),
      instructions: async () => 'some instructions',
    })
  }

  test('opens an envelope', async () => {
    const { body, header, secrets } = await seal()
    const opened = JSON.parse(
      await python('open_envelope.py', { envelope: body, private_key: pem }),
    )
    expect(opened).toMatchObject({
      header,
      input: 'naïve input',
      instructions: 'some instructions',
    })
    expect(opened.response_secret).toBe(toHex(secrets.responseSecret))
  })

  test('refuses an envelope whose keys belong to another header', async () => {
    const [one, other] = [await seal(), await seal()]
    const mixed = { ...JSON.parse(one.body), keys: JSON.parse(other.body).keys }
    const opened = python('open_envelope.py', { envelope: canonicalize(mixed), private_key: pem })
    await expect(opened).rejects.toThrow('belongs to another header')
  })

  test('opens a sealed answer, and not one that was cut', async () => {
    const { secrets, headerDigest } = await seal()
    const writer = new ResponseWriter({ responseSecret: secrets.responseSecret, headerDigest })
    const parts = [writer.serverRandom]
    for (const [type, text] of [
      ['head', '{}'],
      ['beat', ''],
      ['data', 'hello'],
      ['final', '{}'],
    ] as const)
      parts.push(await writer.frame(type, utf8(text)))
    const given = (answer: Uint8Array) => ({
      answer: toBase64(answer),
      response_secret: toHex(secrets.responseSecret),
      header_digest: toHex(headerDigest),
    })
    const frames = JSON.parse(await python('open_response.py', given(Buffer.concat(parts))))
    const opened = frames.map(([type, content]: [string, string]) => [type, atob(content)])
    expect(opened).toEqual([
      ['head', '{}'],
      ['beat', ''],
      ['data', 'hello'],
      ['final', '{}'],
    ])
    await expect(
      python('open_response.py', given(Buffer.concat(parts.slice(0, -1)))),
    ).rejects.toThrow()
  })
})

describe('Python’s cryptography package, at a running instance', () => {
  let world: World
  beforeAll(async () => {
    world = await World.start()
  })
  afterAll(() => world?.close())

  test('opens the envelope with the embassy’s key, and the answer with what was in it', async () => {
    const envelope = await craft(world, { content: 'naïve input' })
    const answer = await world.post(envelope.body)
    const keys = join(world.instance.paths.runtime, 'keys', 'transport.json')
    const [{ pem }] = JSON.parse(await readFile(keys, 'utf8')) as [{ pem: string }]
    const opened = JSON.parse(
      await python('open_envelope.py', { envelope: envelope.body, private_key: pem }),
    )
    expect(opened).toMatchObject({ header: { nonce: envelope.nonce }, instructions: '' })
    expect(utf8(opened.input)).toEqual(envelope.input)
    const { response_secret, header_digest } = opened
    const sealed = { answer: toBase64(answer.bytes), response_secret, header_digest }
    const frames = JSON.parse(await python('open_response.py', sealed)) as [string, string][]
    const frame = (type: string) =>
      JSON.parse(frames.map(([of, text]) => (of === type ? atob(text) : '')).join(''))
    expect(frame('head')).toEqual({ content_type: 'application/json', status: 200 })
    expect(frame('data')).toMatchObject({ choices: [{ message: { content: 'ok' } }] })
    const { document } = world.attested
    const bundle = { receipt: frame('final').receipt, document, policy: await world.policy() }
    const [verdict] = JSON.parse(
      await python('verify_receipt.py', [{ ...bundle, now_ms: Date.now() }]),
    )
    expect(verdict.outcome).toBe('verified')
  })
})

describe('the npm package fernet', () => {
  const key = new Uint8Array(32).map((_, i) => i * 7)
  const secret = new fernet.Secret(`${Buffer.from(key).toString('base64url')}=`)

  test('reads our tokens', async () => {
    const token = new fernet.Token({ secret, token: await encryptToken(key, utf8('ours')), ttl: 0 })
    expect(token.decode()).toBe('ours')
  })

  test('writes tokens that we read', async () => {
    const token = new fernet.Token({ secret }).encode('theirs')
    expect(fromUtf8(await decryptToken(key, token, { ttlSeconds: 60 }))).toBe('theirs')
  })
})
