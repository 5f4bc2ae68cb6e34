// A software TPM laid out like a confidential VM's on GCE, for the demo and for tests.
// It proves nothing to a stranger: its root is its own, and its certificates say `software-tpm`.
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { provision } from './provision.ts'
import { checkSocketPath, reapSwtpm, startSwtpm } from './swtpm.ts'

export interface SoftwareTpm {
  /** What the embassy opens; one client at a time. tpm2-tools: `swtpm:path=<socketPath>`. */
  readonly socketPath: string
  /** PEM: intermediate, then root. */
  readonly chainPath: string
  /** SHA-256 of the root certificate in DER, lower-case hex. */
  readonly rootSha256: string
  readonly pid: number
  stop(): Promise<void>
}

const BUILDING = '.provisioning-'

/**
 * Powers on the software TPM of `stateDir`, made on first use. Each start is a reboot: PCRs at zero,
 * resetCount one higher, NV kept.
 * @throws Error naming the package when swtpm, tpm2-tools or openssl is missing
 */
export async function startSoftwareTpm(options: {
  stateDir: string
  socketPath: string
}): Promise<SoftwareTpm> {
  const stateDir = resolve(options.stateDir)
  const socket = resolve(options.socketPath)
  const directory = join(stateDir, 'tpm')
  checkSocketPath(socket)
  await mkdir(stateDir, { recursive: true, mode: 0o700 })
  await mkdir(dirname(socket), { recursive: true, mode: 0o700 })
  await sweep(stateDir)
  if (!(await exists(directory))) await build(stateDir, directory)
  const root = await readFile(join(directory, 'root.der'))
  const { pid, stop } = await startSwtpm({ directory, socket })
  return {
    socketPath: socket,
    chainPath: join(directory, 'chain.pem'),
    rootSha256: createHash('sha256').update(root).digest('hex'),
    pid,
    stop,
  }
}

/** Made aside and renamed at the end: a TPM that was half made never gets the name. */
async function build(stateDir: string, directory: string): Promise<void> {
  const aside = await mkdtemp(join(stateDir, `${BUILDING}${process.pid}-`))
  try {
    await provision(aside)
    await rename(aside, directory)
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
}

/** Removes what a killed provisioning left, its swtpm included. */
async function sweep(stateDir: string): Promise<void> {
  for (const name of await readdir(stateDir)) {
    if (!name.startsWith(BUILDING)) continue
    const builder = name.slice(BUILDING.length).split('-')[0]
    if (builder === String(process.pid) || (await exists(`/proc/${builder}`))) continue
    await reapSwtpm(join(stateDir, name))
    await rm(join(stateDir, name), { recursive: true, force: true })
  }
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )
