import { sha256, utf8 } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import type { ApiKey } from '../deps.ts'
import { chat, fakeApp, keyEntry, post } from '../test-support/fakes.ts'
import { matchKey } from './api-key.ts'

const apiKeys = await Promise.all([keyEntry('sk-alice', 'alice'), keyEntry('sk-bob', 'bob')])
const ask = (app: ReturnType<typeof fakeApp>['app'], headers: Record<string, string>) =>
  app.request('/v1/chat/completions', post(chat(), headers))

describe('an API key', () => {
  it('names the caller', async () => {
    const { app, calls } = fakeApp({ apiKeys: () => apiKeys })
    for (const authorization of ['Bearer sk-alice', 'bearer   sk-bob', 'BEARER sk-alice'])
      expect((await ask(app, { authorization })).status).toBe(200)
    expect(calls.map(({ caller }) => caller)).toEqual(['alice', 'bob', 'alice'])
  })

  it.each([
    'sk-alice',
    'Bearer',
    'Bearer ',
    'Bearer sk-alic',
    'Bearer sk-alice x',
    'Bearer sk-alicf',
    'Basic sk-alice',
    'Bearer sk-alice, Bearer sk-bob',
    `Bearer ${'x'.repeat(513)}`,
    `Bearer ${apiKeys[0]!.digest}`,
  ])('is not %j', async (authorization) => {
    const { app, calls } = fakeApp({ apiKeys: () => apiKeys })
    const response = await ask(app, { authorization })
    expect(response.status).toBe(401)
    expect(calls).toEqual([])
  })

  it('is not asked for where there are none, and then never changes who calls', async () => {
    const { app, calls } = fakeApp()
    await ask(app, {})
    await ask(app, { authorization: 'Bearer sk-alice', 'sealed-caller': 'alice' })
    expect(calls.map(({ caller }) => caller)).toEqual(['anonymous', 'anonymous'])
  })

  it('is one of those that there are now; where there is none nobody is let in', async () => {
    let keys: readonly ApiKey[] = apiKeys
    const { app } = fakeApp({ apiKeys: () => keys })
    const statuses = async () => {
      const answers = ['sk-alice', 'sk-bob'].map((key) =>
        ask(app, { authorization: `Bearer ${key}` }),
      )
      return (await Promise.all(answers)).map(({ status }) => status)
    }
    expect(await statuses()).toEqual([200, 200])
    keys = [apiKeys[1]!]
    expect(await statuses()).toEqual([401, 200])
    keys = []
    expect(await statuses()).toEqual([401, 401])
    expect((await ask(app, {})).status).toBe(401)
    keys = apiKeys
    expect(await statuses()).toEqual([200, 200])
  })

  it('is compared with every key, byte by byte to the end, whichever fits', async () => {
    const digests = await Promise.all(['a', 'b', 'c'].map((key) => sha256(utf8(key))))
    for (const presented of [...digests, await sha256(utf8('d')), new Uint8Array(32)]) {
      const read: number[] = []
      const entries = digests.map((digest, i) => ({
        key: { name: String(i), digest: '' },
        digest: new Proxy(digest, {
          get(target, property) {
            if (typeof property === 'string' && /^\d+$/.test(property)) read.push(i)
            const value = Reflect.get(target, property, target)
            return typeof value === 'function' ? value.bind(target) : value
          },
        }),
      }))
      const expected = digests.indexOf(presented as (typeof digests)[number])
      expect(matchKey(entries, presented)?.name).toBe(expected < 0 ? undefined : String(expected))
      expect(read).toEqual([0, 1, 2].flatMap((i) => Array(32).fill(i)))
    }
  })
})
