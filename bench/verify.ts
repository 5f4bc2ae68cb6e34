// A full receipt verified, warm and cold, in each runtime, beside TCG's tool that checks one quote and nothing else; in
// turns, in one run.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  fromBase64url,
  parseAttest,
  parseAttestationDocument,
  pcrMap,
  type QuotedDocument,
  utf8,
} from '@sealed/protocol'
import { unstable_dev as startWorker } from 'wrangler'
import vector from '../protocol/vectors/session.json' with { type: 'json' }
import { REPOSITORY } from '../scripts/instance/paths.ts'
import { layOutQuote } from '../test/support/check-quote.ts'
import { median, ms, quantile, table } from './support/table.ts'
import { type Kind, verifyTimes } from './verify/work.ts'

const run = promisify(execFile)
const ROUNDS = 7
const TIMES: Record<Kind, number> = { warm: 100, cold: 20 }
const TARGET_MS = 2

/** Milliseconds that this many verifications take. */
type Timed = (kind: Kind, times: number) => Promise<number>
interface Runtime {
  name: string
  timed: Timed
  stop: () => Promise<void>
}

/** `tools`: which of the programs that only a benchmark uses are here. */
export async function benchVerify(tools: { chromium: boolean; tpm2: boolean }): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-verify-'))
  const runtimes: Runtime[] = [node, await workerd()]
  try {
    if (tools.chromium) runtimes.push(await chromium(directory))
    const checkQuote = tools.tpm2 ? await quoteChecker(directory) : undefined
    const walls = new Map<string, number[]>()
    const note = (name: string, wall: number) => walls.set(name, [...(walls.get(name) ?? []), wall])
    for (const { timed } of runtimes)
      for (const kind of ['warm', 'cold'] as const) await timed(kind, 60)
    for (let round = 0; round < ROUNDS; round++) {
      for (const { name, timed } of runtimes)
        for (const kind of ['warm', 'cold'] as const)
          note(`${name}, ${kind}`, (await timed(kind, TIMES[kind])) / TIMES[kind])
      for (let i = 0; checkQuote && i < 5; i++) note(CHECK_QUOTE, await wallOf(checkQuote))
    }
    const tool = walls.get(CHECK_QUOTE)
    table(
      `verification of a full receipt (target: warm under ${TARGET_MS} ms), ${ROUNDS} rounds`,
      ['', 'median ms', 'worst ms', 'times as fast as the tool'],
      [...walls].map(([name, all]) => [
        name,
        ms(median(all)),
        ms(quantile(all, 1)),
        tool ? (median(tool) / median(all)).toFixed(1) : '-',
      ]),
    )
  } finally {
    for (const { stop } of runtimes) await stop()
    await rm(directory, { recursive: true, force: true })
  }
}

const CHECK_QUOTE = 'tpm2_checkquote, a process, the quote alone'

async function wallOf(act: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  await act()
  return performance.now() - from
}

const node: Runtime = {
  name: `Node ${process.version}`,
  timed: (kind, times) => wallOf(() => verifyTimes(kind, times)),
  stop: async () => {},
}

/** A request without work is taken off: what it costs to ask is not what is asked for. */
async function workerd(): Promise<Runtime> {
  const worker = await startWorker(join(import.meta.dirname, 'verify/worker.ts'), {
    compatibilityDate: '2026-10-01',
    experimental: { disableExperimentalWarning: true },
    local: true,
    logLevel: 'none',
  })
  const ask = (kind: Kind, times: number) =>
    wallOf(async () => {
      const answer = await worker.fetch(`http://worker/?kind=${kind}&times=${times}`)
      if ((await answer.text()) !== 'done') throw new Error(`the worker answered ${answer.status}`)
    })
  return {
    name: 'workerd',
    timed: async (kind, times) => (await ask(kind, times)) - (await ask(kind, 0)),
    stop: () => worker.stop(),
  }
}

/** The Worker's bundle as a page's module, driven over one connection: the page asks for work and says how long it took. */
async function chromium(directory: string): Promise<Runtime> {
  const wrangler = join(REPOSITORY, 'node_modules', '.bin', 'wrangler')
  const entry = join(import.meta.dirname, 'verify/worker.ts')
  const args = ['deploy', entry, '--dry-run', '--outdir', directory, '--name', 'verify']
  await run(wrangler, [...args, '--compatibility-date', '2026-10-01'], {
    cwd: directory,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: 'true' },
  })
  const bundle = await readFile(join(directory, 'worker.js'))
  let hand: ((work: string) => void) | undefined
  let took: ((wall: number) => void) | undefined
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://page')
    if (url.pathname === '/worker.js')
      response.setHeader('content-type', 'text/javascript').end(bundle)
    else if (url.pathname === '/work') {
      const wall = url.searchParams.get('wall')
      hand = (work) => response.end(work)
      if (wall !== null) took?.(Number(wall))
      else took?.(0)
    } else response.setHeader('content-type', 'text/html').end(PAGE)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const asked = () => new Promise<number>((resolve) => (took = resolve))
  const ready = asked()
  const page = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    `--user-data-dir=${directory}/profile`,
  ]
  const browser = spawn('chromium', [...flags, page], { stdio: 'ignore' })
  const ended = once(browser, 'exit')
  await Promise.race([ready, ended.then(() => Promise.reject(new Error('chromium did not start')))])
  return {
    name: 'Chromium',
    timed: (kind, times) => {
      const wall = asked()
      hand?.(`?kind=${kind}&times=${times}`)
      return wall
    },
    stop: async () => {
      browser.kill('SIGTERM')
      await ended
      server.closeAllConnections()
      server.close()
    },
  }
}

const PAGE = `<script type="module">
  import worker from '/worker.js'
  for (let wall = ''; ; ) {
    const work = await (await fetch('/work' + wall)).text()
    const from = performance.now()
    await worker.fetch(new Request('http://page/' + work))
    wall = '?wall=' + (performance.now() - from)
  }
</script>`

/** The receipt's quote as files, laid out once. */
async function quoteChecker(directory: string): Promise<() => Promise<unknown>> {
  const document = parseAttestationDocument(utf8(vector.document)) as QuotedDocument
  const attest = fromBase64url(document.quote.attest)
  const args = await layOutQuote(directory, {
    attest,
    signature: fromBase64url(document.quote.signature),
    certificate: fromBase64url(document.ak.chain[0]!),
    pcrs: pcrMap(document),
    extraData: parseAttest(attest).extraData,
  })
  return () =>
    run('tpm2', ['checkquote', ...args], { env: { ...process.env, TPM2TOOLS_TCTI: 'none' } })
}
