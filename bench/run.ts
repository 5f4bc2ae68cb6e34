// `npm run bench`: every part beside what a user would take instead, in one run of a few minutes. Figures, no verdicts.
import { spawnSync } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { REPOSITORY } from '../scripts/instance/paths.ts'
import { up } from '../scripts/up.ts'
import { benchAgainstNginx } from './against-nginx.ts'
import { benchDemoModel } from './demo-model.ts'
import { benchDropIn } from './drop-in.ts'
import { benchLedger } from './ledger.ts'
import { benchLlamaServer } from './llama-server.ts'
import { benchProtocol } from './protocol.ts'
import { benchCrowd, benchRequest } from './request.ts'
import { benchSeal, benchTpm } from './tpm-and-firewall.ts'
import { benchVerify } from './verify.ts'

/** Whether a tool that only the benchmark uses is here; says what is left out without it. */
function has(tool: string): boolean {
  const found =
    spawnSync('which', [tool], { env: { PATH: `${process.env.PATH}:/usr/sbin` } }).status === 0
  if (!found) say(`${tool} is not installed, so what needs it is left out: apt-get install ${tool}`)
  return found
}

const say = (line: string) => process.stdout.write(`${line}\n`)
say(
  `${cpus()[0]?.model}, ${availableParallelism()} threads, load ${loadavg()[0]!.toFixed(1)}, Node ${process.version}`,
)

const instance = await up(await mkdtemp(join(tmpdir(), 'sealed-bench-')), { workload: 'noop' })
try {
  await benchRequest(instance, has('strace'))
  if (has('nginx')) await benchAgainstNginx(instance)
} finally {
  await instance.stop()
}
await benchCrowd()
if (has('nginx')) {
  await benchDropIn()
  await benchDemoModel()
}
if (has('tcc')) await benchLlamaServer()
await benchTpm()
await benchLedger()
await benchSeal(join(REPOSITORY, '.sealed', 'images'))
await benchProtocol()
await benchVerify({ chromium: has('chromium'), tpm2: has('tpm2') })
say(`\nload at the end ${loadavg()[0]!.toFixed(1)}`)
