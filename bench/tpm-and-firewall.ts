// The two devices a session waits for, driven as we drive them and as a script would: TPM quotes, firewall changes.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createContainers, createSeal, openTpm } from '@sealed/embassy'
import { QUOTED_PCRS } from '@sealed/protocol'
import { buildImage } from '../scripts/instance/images.ts'
import { startSoftwareTpm } from '../scripts/world/tpm.ts'
import { median, table } from './support/table.ts'

const run = promisify(execFile)
const ID = 'be0c'
const AK_HANDLE = '0x81008f00'
const WARM_UP = 300

async function times(count: number, act: () => Promise<unknown>): Promise<number> {
  const walls: number[] = []
  for (let i = 0; i < count; i++) {
    const from = performance.now()
    await act()
    walls.push(performance.now() - from)
  }
  return median(walls)
}
const rows = (list: readonly [string, number, string, number][]) =>
  list.map(([what, ours, instead, theirs]) => [
    what,
    ours.toFixed(2),
    instead,
    theirs.toFixed(2),
    (theirs / ours).toFixed(0),
  ])
const HEADS = ['', 'ours ms', 'instead', 'ms', 'ratio']

export async function benchTpm(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sealed-bench-tpm-'))
  const world = await startSoftwareTpm({
    stateDir: directory,
    socketPath: join(directory, 't.sock'),
  })
  try {
    const tpm = await openTpm(world.socketPath)
    const quote = await times(300, () => tpm.quote(new Uint8Array(32), QUOTED_PCRS))
    const read = await times(300, () => tpm.readPcrs(QUOTED_PCRS))
    await tpm.close()
    const env = { ...process.env, TPM2TOOLS_TCTI: `swtpm:path=${world.socketPath}` }
    const tool = (...args: string[]) => run('tpm2', args, { env, cwd: directory })
    await tool(
      'createprimary',
      '-C',
      'e',
      '-G',
      'ecc256:ecdsa-sha256:null',
      '-g',
      'sha256',
      '-c',
      'ak.ctx',
      '-a',
      'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign',
    )
    await tool('evictcontrol', '-C', 'o', '-c', 'ak.ctx', AK_HANDLE)
    await tool('flushcontext', '-t')
    const list = `sha256:${QUOTED_PCRS.slice(0, 7).join(',')}`
    const theirs = await times(20, () =>
      tool('quote', '-c', AK_HANDLE, '-l', list, '-q', 'ab'.repeat(32)),
    )
    const theirRead = await times(20, () => tool('pcrread', list))
    table(
      'TPM (software)',
      HEADS,
      rows([
        ['quote', quote, 'tpm2 quote, a process', theirs],
        ['read PCRs', read, 'tpm2 pcrread, a process', theirRead],
      ]),
    )
  } finally {
    await world.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

export async function benchSeal(images: string): Promise<void> {
  const pause = await buildImage('pause', images)
  const containers = createContainers()
  await containers.sweep(ID)
  await containers.loadImage(pause.archive, pause.id)
  const probes = { resolvers: [], targets: [], busybox: '/bin/busybox' }
  const seal = createSeal({ id: ID, relayPorts: [61_000, 61_999], embassyPort: 7100, probes })
  await seal.start()
  const directory = await mkdtemp(join(tmpdir(), 'sealed-bench-seal-'))
  try {
    const { pid } = await containers.startPause({
      name: `sealed-${ID}-bench`,
      image: pause.id,
      instance: ID,
    })
    const egress = [{ address: '198.18.0.2', protocol: 'tcp', port: 80 }] as const
    const link = await seal.attach(pid, { replica: 0, generation: 0, workloadPort: 8000, egress })
    // As sessions do it: nft is slower by every line that it was given, and is replaced where one is checked.
    const pairs: number[] = []
    const checks: number[] = []
    for (let i = -WARM_UP; i < 300; i++) {
      const from = performance.now()
      await seal.seal(link)
      const sealed = performance.now()
      await seal.check(link)
      const checked = performance.now()
      await seal.release(link)
      if (i < 0) continue
      pairs.push(performance.now() - checked + sealed - from)
      checks.push(checked - sealed)
    }
    const verify = await times(100, () => seal.verify(link))
    const table_ = `sealed_${ID}_0`
    const script = async (line: string) => {
      const path = join(directory, 'change.nft')
      await writeFile(path, `${line}\n`)
      await run('nft', ['-f', path])
    }
    const spawned = await times(30, async () => {
      await script(`add element inet ${table_} open { "${link.device}" }`)
      await script(`flush set inet ${table_} open`)
    })
    const listed = await times(30, () => run('nft', ['list', 'table', 'inet', table_]))
    table(
      'firewall',
      HEADS,
      rows([
        ['seal and release', median(pairs), 'nft, two processes', spawned],
        ['check before the commit', median(checks), 'nft, all rules listed', listed],
        ['all rules read back', verify, 'nft, all rules listed', listed],
      ]),
    )
  } finally {
    await seal.stop()
    await containers.sweep(ID)
    await rm(directory, { recursive: true, force: true })
  }
}
