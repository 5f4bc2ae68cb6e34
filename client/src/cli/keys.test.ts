import { readFile, stat } from 'node:fs/promises'
import { documentDigest, parseAttestationDocument } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAuthorityFile } from '../authority-file.ts'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { serve } from '../test-support/gateway-double.ts'
import { MachineDouble } from '../test-support/machine-double.ts'

let cli: Cli
beforeAll(async () => {
  cli = await createCli()
})
afterAll(() => cli.remove())

describe('sealed authority new', () => {
  it('writes the private key to its file alone and prints the entry for sealed.json', async () => {
    const { err, exit, out } = await cli.run(['authority', 'new', 'institute', '--out', 'a.jwk'])
    expect(exit).toBe(0)
    const { entry } = await readAuthorityFile(cli.path('a.jwk'))
    expect(JSON.parse(out)).toEqual({ ...entry, name: 'institute' })
    expect((await stat(cli.path('a.jwk'))).mode & 0o777).toBe(0o600)
    const { d } = JSON.parse(await readFile(cli.path('a.jwk'), 'utf8'))
    expect(out + err).not.toContain(d)
  })

  it('does not overwrite a key', async () => {
    const argv = ['authority', 'new', 'institute', '--out', 'b.jwk', '--json']
    const first = await cli.run(argv)
    expect(JSON.parse(first.out).authority.name).toBe('institute')
    const before = await readFile(cli.path('b.jwk'), 'utf8')
    const second = await cli.run(argv)
    expect(second.exit).toBe(1)
    expect(JSON.parse(second.out).error.message).toContain('never overwritten')
    expect(await readFile(cli.path('b.jwk'), 'utf8')).toBe(before)
  })
})

describe('sealed attestation', () => {
  it('judges a fresh document, keeps it, and exits by the verdict', async () => {
    const machine = await MachineDouble.create()
    const { fetch } = serve(machine)
    const failed = await cli.run(['attestation', '--out', 'document.json'], { fetch })
    expect(failed.exit).toBe(1)
    expect(failed.out).toMatch(/✗ document\.ak_chain/)
    const document = parseAttestationDocument(await readFile(cli.path('document.json')))
    expect(await documentDigest(document)).toBe(machine.digest)
    const json = JSON.parse((await cli.run(['attestation', '--json'], { fetch })).out)
    expect(json).toMatchObject({ document: machine.digest, verdict: { outcome: 'failed' } })
  })
})

describe('sealed --help', () => {
  it('exits with 0 and names every command', async () => {
    const { err, exit, out } = await cli.run(['--help'])
    expect([exit, err]).toEqual([0, ''])
    for (const name of [
      'ask',
      'proxy',
      'write',
      'update',
      'read',
      'verify',
      'attestation',
      'authority',
      'key',
    ])
      expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'))
    expect((await cli.run([])).exit).toBe(2)
  })
})
