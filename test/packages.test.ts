// What is published: both packages installed offline into an empty folder, as a stranger's program on an older Node, his
// compiler and his bundler for browsers see them.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { chromium } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installPacked, oldestNode, ROOT, run } from './support/packed.ts'

const PROGRAM = `
import { encodeReceipt, fromBase64url, parsePolicy, canonicalize, verifyReceipt, type AttestationDocument, type Receipt, type ReceiptInput } from '@sealed/protocol'
import { createSealedFetch, verdictOf, type SealedFetchOptions } from '@sealed/client'
import { createInsecureFetch } from '@sealed/client/insecure'

export interface Bundle { document: AttestationDocument; receipt: Receipt; policy: unknown; now_ms: number; request: string; salt: string; output: string }

export async function judge(bundle: Bundle): Promise<string> {
  const policy = parsePolicy(canonicalize(bundle.policy))
  const options: SealedFetchOptions = { gateway: 'http://127.0.0.1:1', policy }
  const fetch: typeof globalThis.fetch = createSealedFetch(options)
  const refused = await fetch('http://127.0.0.1:1/v1/files')
  const none = await verdictOf(refused).then(() => 'a verdict', (error: Error) => error.message)
  const input: ReceiptInput = {
    document: bundle.document,
    receipt: encodeReceipt(bundle.receipt),
    request: fromBase64url(bundle.request),
    salt: fromBase64url(bundle.salt),
    output: fromBase64url(bundle.output),
  }
  const { outcome } = await verifyReceipt(input, policy, bundle.now_ms)
  const forged = await verifyReceipt({ ...input, output: new Uint8Array(1) }, policy, bundle.now_ms)
  return [outcome, forged.outcome, refused.status, none, typeof createInsecureFetch].join(', ')
}
`
const EXPECTED =
  'verified, failed, 404, no verdict belongs to this Response: it was not sealed, function'

let folder: string
let bundle: string
beforeAll(async () => {
  folder = await installPacked()
  const vectors = await readFile(join(ROOT, 'protocol', 'vectors', 'verdict.json'), 'utf8')
  bundle = JSON.stringify(JSON.parse(vectors).base)
  await writeFile(join(folder, 'program.ts'), PROGRAM)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const compile = (extra: Record<string, unknown>) =>
  writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        target: 'ES2022',
        strict: true,
        types: [],
        skipLibCheck: false,
        ...extra,
      },
      files: ['program.ts'],
    }),
  ).then(() => run(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', folder]))

describe('the published packages', () => {
  test('type-check in a stranger’s program without Node’s types, and run on an older Node', async () => {
    await compile({ module: 'NodeNext', lib: ['ES2022', 'DOM'] })
    await writeFile(
      join(folder, 'main.js'),
      `import { readFileSync } from 'node:fs'
import { judge } from './program.js'
console.log(await judge(JSON.parse(readFileSync('bundle.json', 'utf8'))))`,
    )
    await writeFile(join(folder, 'bundle.json'), bundle)
    const { stdout } = await run(await oldestNode(), ['main.js'], { cwd: folder })
    expect(stdout.trim()).toBe(EXPECTED)
  })

  test('type-check for a bundler too', async () => {
    const extra = { module: 'ESNext', moduleResolution: 'bundler', lib: ['ES2022', 'DOM'] }
    await compile({ ...extra, noEmit: true })
  })

  test('open no way past their entries', async () => {
    const reach = (path: string) =>
      run(process.execPath, ['--input-type=module', '-e', `await import('${path}')`], {
        cwd: folder,
      })
    await expect(reach('@sealed/client/src/exchange.js')).rejects.toThrow(
      'ERR_PACKAGE_PATH_NOT_EXPORTED',
    )
    await expect(reach('@sealed/client')).resolves.toBeDefined()
  })

  test('bring the command', async () => {
    const { stdout } = await run(join(folder, 'node_modules', '.bin', 'sealed'), ['--help'])
    expect(stdout).toContain('Asks AI workloads under seal')
  })

  test('are bundled for browsers without a Node API, and verify in one', async () => {
    const { metafile, outputFiles } = await build({
      stdin: { contents: PROGRAM, loader: 'ts', resolveDir: folder },
      bundle: true,
      format: 'iife',
      globalName: 'stranger',
      metafile: true,
      platform: 'browser',
      target: 'es2022',
      write: false,
    })
    expect(Object.values(metafile.outputs).flatMap(({ imports }) => imports)).toEqual([])
    expect(await inBrowser(outputFiles[0]!.text, `stranger.judge(${bundle})`)).toBe(EXPECTED)
  })
})

/** What an expression comes to in a page that has run this script; its page has no network. */
async function inBrowser(script: string, expression: string): Promise<unknown> {
  const args = ['--no-sandbox', '--disable-quic', '--disable-background-networking']
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args })
  try {
    const page = await browser.newPage()
    await page.route('**', (route) => route.fulfill({ contentType: 'text/html', body: '' }))
    await page.goto('https://stranger.example/')
    await page.addScriptTag({ content: script })
    return await page.evaluate(expression)
  } finally {
    await browser.close()
  }
}
