// The worked example of a workload that takes part itself, against an embassy that says what it was asked.
// Mutants: the end of the answer not waiting, its last chunk left out of the digest, no MAC compared, a refusal ignored.
import { createCipheriv, createHash, createHmac, randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { noopWorkload } from '../noop/workload.ts'
import { type Serving, serving } from '../test-support/serving.ts'
import { decrypt } from './take-part.ts'

const key = randomBytes(32)
const TOKEN = encrypt('hello')

function encrypt(plaintext: string): string {
  const head = Buffer.concat([Buffer.from([0x80]), Buffer.alloc(8), randomBytes(16)])
  const cipher = createCipheriv('aes-128-cbc', key.subarray(16), head.subarray(9))
  const signed = Buffer.concat([head, cipher.update(plaintext), cipher.final()])
  const mac = createHmac('sha256', key.subarray(0, 16)).update(signed).digest()
  return Buffer.concat([signed, mac]).toString('base64url')
}

let workload: Serving
let embassy: Server
let asked: { path: string; body: string }[]
let refuses = false
beforeEach(async () => {
  asked = []
  refuses = false
  workload = await serving(noopWorkload)
  embassy = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    asked.push({ path: request.url!, body })
    response
      .writeHead(refuses ? 400 : 200)
      .end(JSON.stringify({ key: `${key.toString('base64url')}=` }))
  })
  await new Promise<void>((resolve) => embassy.listen(0, '127.0.0.1', () => resolve()))
})
afterEach(async () => {
  await workload.close()
  embassy.close()
})
const url = () => `http://127.0.0.1:${(embassy.address() as AddressInfo).port}/v1/sessions/s`

test('a token is opened with its own key, and an altered one is not', () => {
  expect(decrypt(key, TOKEN).toString()).toBe('hello')
  for (const spoilt of [`${TOKEN.slice(0, -6)}AAAAAA`, '', 'gAAA', `hB${TOKEN.slice(2)}`])
    expect(() => decrypt(key, spoilt)).toThrow()
  expect(() => decrypt(Buffer.alloc(32), TOKEN)).toThrow()
})

test('what it answers is what it committed to, before its end', async () => {
  const response = await workload.post(TOKEN, { headers: { 'sealed-embassy': url() } })
  const bytes = Buffer.from(await response.arrayBuffer())
  // `hello` is no JSON: an error's bytes are committed to as well.
  expect(response.status).toBe(400)
  expect(asked).toEqual([
    { path: '/v1/sessions/s/reveal', body: '' },
    {
      path: '/v1/sessions/s/unseal',
      body: JSON.stringify({ output_sha256: createHash('sha256').update(bytes).digest('hex') }),
    },
  ])
})

test('where the embassy refuses there is no answer', async () => {
  refuses = true
  await expect(
    workload
      .post(TOKEN, { headers: { 'sealed-embassy': url() } })
      .then((response) => response.text()),
  ).rejects.toThrow()
})
