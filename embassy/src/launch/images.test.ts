// Where an image comes from, and where the instance's token goes. Mutants tried: the token for every registry; Google's
// hosts matched by their end alone; no look at what the engine holds; an id that is the manifest's taken for the config's.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { CONFIG, FakeImages, MANIFEST, REFERENCE } from '../test-support/launch-world.ts'
import { pullImage, takesToken, trustRegistry } from './images.ts'

let store: FakeImages
beforeEach(() => {
  store = new FakeImages()
})
const log = () => {}
const invalid = (message: RegExp) =>
  expect.objectContaining({ code: 'config.invalid', message: expect.stringMatching(message) })

describe('the token', () => {
  const from = (registry: string) => `${registry}/p/demo@sha256:${MANIFEST}`

  it.each(['europe-west4-docker.pkg.dev', 'us-docker.pkg.dev', 'gcr.io', 'eu.gcr.io'])(
    'goes to %s',
    (registry) => expect(takesToken(from(registry), undefined)).toBe(true),
  )

  it.each([
    'registry.example',
    'docker.pkg.dev',
    'eu-docker.pkg.dev.attacker.example',
    'attacker.example.gcr.io',
    'attackergcr.io',
    'xgcr.io.example',
    'eu-docker.pkg.dev:8443',
    'gcr.io:5000',
    'eu-docker-pkg.dev',
    'localhost',
  ])('never goes to %s', (registry) => {
    expect(takesToken(from(registry), undefined)).toBe(false)
    expect(takesToken(from(registry), 'another.example')).toBe(false)
  })

  it('goes to the registry that the operator names, port and all, and to none else', () => {
    expect(takesToken(from('registry.example:5000'), 'registry.example:5000')).toBe(true)
    expect(takesToken(from('registry.example:5001'), 'registry.example:5000')).toBe(false)
    expect(takesToken(from('registry.example'), 'registry.example:5000')).toBe(false)
  })

  it('is a login of the user that Google’s registries know', async () => {
    await pullImage(store, REFERENCE, async () => 'ya29', log)
    const login = { username: 'oauth2accesstoken', password: 'ya29' }
    expect(store.pulled).toEqual([{ reference: REFERENCE, login }])
  })

  it('stays here where it may not be sent, and the reason says so when that was why', async () => {
    store.failure = new Error('unauthorized')
    await expect(pullImage(store, REFERENCE, undefined, log)).rejects.toThrow(
      expect.objectContaining({
        code: 'launch.unavailable',
        message: expect.stringMatching(/not pulled: unauthorized \(no token was sent/),
      }),
    )
    expect(store.pulled[0]!.login).toBeUndefined()
  })

  it('stands in no log line', async () => {
    const lines: string[] = []
    await pullImage(
      store,
      REFERENCE,
      async () => 'ya29',
      (...line) => void lines.push(JSON.stringify(line)),
    )
    expect(lines.join('')).toContain(REFERENCE)
    expect(lines.join('')).not.toContain('ya29')
  })
})

describe('an image', () => {
  const pull = () => pullImage(store, REFERENCE, undefined, log)

  it('is known by its config’s digest', async () => {
    store.image = { ...store.image, labels: { a: 'b' } }
    expect(await pull()).toEqual({ config: CONFIG, labels: { a: 'b' } })
  })

  it.each([
    ['no manifest', []],
    ['another manifest', [REFERENCE.replace(MANIFEST, 'ac'.repeat(32))]],
    ['the manifest of another repository', [REFERENCE.replace('/demo', '/other')]],
    ['a manifest that begins like it', [`${REFERENCE}00`]],
  ])('is refused where the engine has %s', async (_, references) => {
    store.image = { ...store.image, references }
    await expect(pull()).rejects.toThrow(invalid(/the engine has another image/))
  })

  it.each([`sha256:${MANIFEST}`, CONFIG, `sha512:${CONFIG}`, `sha256:${CONFIG}00`, ''])(
    'is refused where the engine names it %s',
    async (id) => {
      store.image = { ...store.image, id }
      await expect(pull()).rejects.toThrow(invalid(/not the digest of an image’s config/))
    },
  )
})

it('a private registry’s certificates lie where the engine looks', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'certs-'))
  try {
    await trustRegistry(directory, 'registry.example:5000', 'PEM')
    const path = join(directory, 'registry.example:5000', 'ca.crt')
    expect(await readFile(path, 'utf8')).toBe('PEM')
  } finally {
    await rm(directory, { recursive: true })
  }
})
