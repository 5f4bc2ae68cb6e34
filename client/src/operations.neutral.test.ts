import { canonicalBytes, fromBase64url, utf8 } from '@sealed/protocol'
import { beforeAll, describe, expect, it } from 'vitest'
import { attest } from './attest.ts'
import { type Authority, createAuthority, parseAuthority } from './authority.ts'
import { read, update, write } from './operations.ts'
import { type Bends, serve } from './test-support/gateway-double.ts'
import { MachineDouble, NOW } from './test-support/machine-double.ts'
import { readingOf } from './test-support/session-double.ts'

let machine: MachineDouble
let authority: Authority
let stranger: Authority
beforeAll(async () => {
  const [ours, theirs] = [await createAuthority(), await createAuthority()]
  authority = await parseAuthority(ours.jwk)
  stranger = await parseAuthority(theirs.jwk)
  machine = await MachineDouble.create({ authorities: [ours.entry] })
})

async function connect(bends: Bends = {}) {
  const gateway = serve(machine, bends)
  const options = { url: 'http://127.0.0.1:8080', policy: machine.policy, fetch: gateway.fetch }
  const attested = await attest({ ...options, now: () => NOW })
  return { ...gateway, request: { attested, endpoint: '/v1/chat/completions' } }
}

describe('write', () => {
  it.each(['positive', 'negative'] as const)(
    'signs a %s sample of a capability',
    async (polarity) => {
      const { request, sessions } = await connect()
      const body = utf8('sample')
      const answer = await write({ ...request, body, authority, capability: 'design', polarity })
      expect(sessions[0]!.instructions).toEqual({
        action: { type: 'write', capability: 'design', polarity },
        authority: authority.id,
      })
      expect(answer.verdict.outcome).toBe('verified')
    },
  )

  it('refuses a name that no capability can have, before anything is sent', async () => {
    const { calls, request } = await connect()
    const sample = { ...request, body: utf8('sample'), authority }
    expect(() => write({ ...sample, capability: 'Not a name' })).toThrow(/capability/)
    expect(calls).not.toContain('POST /v1/sealed')
  })
})

describe('update', () => {
  it('asks for it without a signature', async () => {
    const { request, sessions } = await connect()
    await update({ ...request, body: utf8('question') })
    expect(sessions[0]!.instructions).toEqual({ action: { type: 'update' } })
  })
})

describe('read', () => {
  it('brings meters and coverage, bound to the receipt, for an empty input', async () => {
    const { request, sessions } = await connect()
    const answer = await read({ ...request, authority })
    expect(answer.reading).toEqual(readingOf(authority.id))
    expect(sessions[0]!.input).toHaveLength(0)
    const output = answer.verdict.checks.find(({ id }) => id === 'receipt.output')
    expect(output).toMatchObject({ result: 'pass' })
  })

  it('refuses meters other than those the receipt names', async () => {
    const reading = { ...readingOf(authority.id), meters: [] }
    const { request } = await connect({
      reply: (_session, honest) => ({ ...honest, output: canonicalBytes(reading) }),
    })
    await expect(read({ ...request, authority })).rejects.toMatchObject({
      code: 'verdict.failed',
      verdict: { outcome: 'failed' },
    })
  })

  it.each([
    ['another authority’s meters', () => canonicalBytes(readingOf('00'.repeat(16)))],
    ['what is no reading', () => utf8('{}')],
    ['what is no JSON', () => utf8('meters: none')],
  ])('refuses %s, committed or not', async (_name, output) => {
    const { request } = await connect({ output })
    await expect(read({ ...request, authority })).rejects.toMatchObject({
      code: 'response.invalid',
    })
  })

  it('is refused to an authority that the machine does not list', async () => {
    const { request } = await connect()
    await expect(read({ ...request, authority: stranger })).rejects.toMatchObject({
      code: 'instructions.unauthorized',
    })
  })
})

describe('authority keys', () => {
  it('round-trip through their file’s text', async () => {
    const { entry, jwk } = await createAuthority()
    const parsed = await parseAuthority(jwk)
    expect(parsed.entry).toEqual(entry)
    expect(fromBase64url(entry.public_key)).toHaveLength(32)
    expect(await parsed.sign(utf8('x'))).toHaveLength(64)
  })

  it.each([
    ['no JSON', () => 'key'],
    ['no object', () => '[]'],
    ['a public key only', (jwk: string) => jwk.replace(/"d":"[^"]*",/, '')],
    ['another curve', (jwk: string) => jwk.replace('Ed25519', 'X25519')],
    ['another id', (jwk: string) => jwk.replace(/"kid":"../, '"kid":"zz')],
    ['a member twice', (jwk: string) => jwk.replace('{', '{"kty":"OKP",')],
  ])('refuses %s', async (_name, bend) => {
    const { jwk } = await createAuthority()
    await expect(parseAuthority(bend(jwk))).rejects.toMatchObject({ code: 'config.invalid' })
  })

  it('refuses a private part of another key', async () => {
    const [one, two] = [await createAuthority(), await createAuthority()]
    const d = /"d":"[^"]*"/
    const mixed = one.jwk.replace(d, d.exec(two.jwk)![0])
    await expect(parseAuthority(mixed)).rejects.toThrow(/belong together/)
  })
})
