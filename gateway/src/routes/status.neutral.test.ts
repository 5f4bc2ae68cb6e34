// Mutants: `raw(reason)` in the page; the CSP dropped; `accepts` made true; `bounded` not on /v1/status.
import { describe, expect, it } from 'vitest'
import { DIGEST, fakeApp, keyEntry, OVERVIEW } from '../test-support/fakes.ts'

const html = { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } }

describe('GET /v1/status', () => {
  it('is JSON unless a browser asks', async () => {
    const { app } = fakeApp()
    for (const init of [
      {},
      { headers: { accept: '*/*' } },
      { headers: { accept: 'application/json' } },
    ]) {
      const answer = await app.request('/v1/status', init)
      expect(answer.headers.get('content-type')).toBe('application/json')
      expect(await answer.json()).toEqual(OVERVIEW)
    }
    const page = await app.request('/v1/status', html)
    expect(page.headers.get('content-type')).toMatch(/^text\/html/)
    expect(page.headers.get('vary')).toBe('accept')
  })

  it('shows people what is served, and runs nothing', async () => {
    const page = await fakeApp().app.request('/v1/status', html)
    const text = await page.text()
    for (const part of [
      'demo-small, demo-large',
      '1 of 2, 0 idle',
      DIGEST,
      '42 leaves',
      'event-log',
    ])
      expect(text).toContain(part)
    expect(text).not.toMatch(/<script|javascript:|https?:/i)
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  })

  it('says why nothing is served, and takes no markup from anywhere', async () => {
    const reason = '<script>alert(1)</script>'
    const workloads = [{ ...OVERVIEW.workloads[0]!, models: ['<img src=x>'] }]
    const overview = async () => ({ ...OVERVIEW, ready: false, reason, workloads })
    const { app } = fakeApp({ embassy: { overview } })
    const text = await (await app.request('/v1/status', html)).text()
    expect(text).toContain('Not serving: &lt;script&gt;alert(1)&lt;/script&gt;.')
    expect(text).toContain('&lt;img src=x&gt;')
    expect(text).not.toMatch(/<script|<img/)
  })

  it('asks for no key, and takes a slot like everything that reaches the embassy', async () => {
    const keys = [await keyEntry('sk-a', 'a')]
    const waiting: (() => void)[] = []
    const overview = () =>
      new Promise<typeof OVERVIEW>((resolve) => waiting.push(() => resolve(OVERVIEW)))
    const { app } = fakeApp({
      apiKeys: () => keys,
      embassy: { overview },
      limits: { callerRequests: 1 },
    })
    const first = app.request('/v1/status')
    while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 0))
    expect((await app.request('/v1/status')).status).toBe(429)
    for (const go of waiting) go()
    expect((await first).status).toBe(200)
  })
})

describe('health', () => {
  it('lives where it cannot serve', async () => {
    const status = () => Promise.reject(new Error('gone'))
    const { app } = fakeApp({ embassy: { status } })
    expect(await (await app.request('/health/live')).json()).toEqual({ live: true })
    const down = { ready: false, reason: 'no replica', workloads: [] }
    const other = fakeApp({ embassy: { status: async () => down } }).app
    for (const path of ['/health', '/health/ready']) {
      const answer = await other.request(path)
      expect([answer.status, await answer.json()]).toEqual([
        503,
        { ready: false, reason: 'no replica' },
      ])
    }
    for (const path of ['/health', '/health/live', '/health/ready'])
      expect((await app.request(path, { method: 'POST' })).status).toBe(405)
  })
})
