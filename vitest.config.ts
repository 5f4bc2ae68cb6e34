// Unit tests in Node, the runtime-neutral ones again in workerd, protocol's once more in a browser, and end to end on
// real parts.
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'

/**
 * Node strips types with WebAssembly, in each thread that loads a .ts file. V8 has been seen to abort (SIGTRAP in a
 * thread of the store, once in some thousands) and others report it where such a thread compiles wrappers of its own for
 * hot calls: with this budget none does.
 */
const NO_OWN_WRAPPERS = ['--wasm-wrapper-tiering-budget=2147483647']

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'node',
          include: ['{protocol,embassy,gateway,client,workloads,scripts,infra}/**/*.test.ts'],
          execArgv: NO_OWN_WRAPPERS,
          testTimeout: 60_000,
        },
      },
      {
        plugins: [cloudflareTest({ miniflare: { compatibilityDate: '2026-10-01' } })],
        test: {
          name: 'workerd',
          include: ['protocol/src/**/*.test.ts', '{gateway,client}/src/**/*.neutral.test.ts'],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'chromium',
          include: ['protocol/src/**/*.test.ts'],
          testTimeout: 60_000,
          browser: {
            enabled: true,
            headless: true,
            provider: playwright({
              launchOptions: {
                // Debian's: nothing is downloaded. It reports nothing home and runs as root, as the other tests do.
                executablePath: '/usr/bin/chromium',
                args: ['--no-sandbox', '--disable-quic', '--disable-background-networking'],
              },
            }),
            instances: [{ browser: 'chromium' }],
            screenshotFailures: false,
            connectTimeout: 180_000,
          },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/**/*.test.ts'],
          globalSetup: [],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'boot',
          include: ['test/boot/*.slow.ts'],
          fileParallelism: false,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
