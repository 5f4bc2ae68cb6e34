// How a gateway's TLS may be given: four modes, and of each what it needs and nothing else.
import { expect, it } from 'vitest'
import { deploymentMembers } from './config.ts'
import { check } from './schema.ts'

const { tls: tlsSchema } = deploymentMembers.entries.gateway.entries
const parse = (tls: unknown) => check(tlsSchema, tls, 'tls', 'config.invalid')

const ACME = {
  mode: 'acme',
  contact: ['mailto:ops@example.org'],
  directory: 'https://acme.example/directory',
  names: ['api.example.org'],
  terms_agreed: true,
}

it.each([
  [{ mode: 'off' }],
  [{ mode: 'embassy', names: ['localhost'] }],
  [{ mode: 'files', certificate: 'a.pem', key: 'b.pem' }],
  [ACME],
  [{ ...ACME, contact: [], names: ['localhost', 'a-1.xn--bcher-kva.example', '1.2.3.4x'] }],
  [{ ...ACME, external_account: { key: '/eab', key_id: 'kid-1' }, roots: '/roots.pem' }],
])('has TLS as in %j', (tls) => {
  expect(parse(tls)).toEqual(tls)
})

it.each([
  [{ mode: 'acme' }],
  [{ ...ACME, directory: 'http://acme.example/directory' }],
  [{ ...ACME, directory: 'https://user@acme.example/' }],
  [{ ...ACME, terms_agreed: false }],
  [{ ...ACME, terms_agreed: undefined }],
  [{ ...ACME, contact: ['ops@example.org'] }],
  [{ ...ACME, contact: ['mailto:a@example.org,b@example.org'] }],
  [{ ...ACME, external_account: { key_id: 'kid-1' } }],
  [{ ...ACME, account_key: '/key.pem' }],
  [{ ...ACME, names: [] }],
  [{ ...ACME, names: ['*.example.org'] }],
  [{ ...ACME, names: ['127.0.0.1'] }],
  [{ ...ACME, names: ['::1'] }],
  [{ ...ACME, names: ['Api.example.org'] }],
  [{ ...ACME, names: ['a..b'] }],
  [{ ...ACME, names: ['-a.org'] }],
  [{ ...ACME, names: ['a.org.'] }],
  [{ ...ACME, names: ['a.example', 'a.example'] }],
  [{ mode: 'off', names: ['localhost'] }],
  [{ mode: 'embassy' }],
  [{ mode: 'embassy', names: [] }],
  [{ mode: 'files', certificate: 'a.pem' }],
  [{ mode: 'files', certificate: '', key: 'b.pem' }],
])('does not have TLS as in %j', (tls) => {
  expect(() => parse(tls)).toThrow(expect.objectContaining({ code: 'config.invalid' }))
})
