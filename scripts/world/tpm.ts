// A software TPM laid out like a confidential VM's on GCE, for the demo and for tests.
// It proves nothing to a stranger: its root is its own, and its certificates say `software-tpm`.
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pretendedFirmware, type ReferenceImage } from './firmware.ts'
import { provision } from './provision.ts'
import { checkSocketPath, reapSwtpm, startSwtpm } from './swtpm.ts'

export interface SoftwareTpm {
  /** What the embassy opens; one client at a time. tpm2-tools: `swtpm:path=<socketPath>`. */
  readonly socketPath: string
  /** PEM: intermediate, then root. */
  readonly chainPath: string
  /** SHA-256 of the root certificate in DER, lower-case hex. */
  readonly rootSha256: string
  /** Event log of this start, in the kernel's binary form. */
  readonly eventLogPath: string
  /** What a verifier may expect its PCRs to hold. */
  readonly image: ReferenceImage
  readonly pid: number
  stop(): Promise<void>
}

const BUILDING = '.provisioning-'

/**
 * Powers on the software TPM of `stateDir`, made on first use. Each start is a reboot: PCRs at zero, then extended
 * with what its firmware would measure, once; resetCount one higher, NV kept.
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
  const { pid, execute, stop } = await startSwtpm({ directory, socket })
  const eventLogPath = join(directory, 'binary_bios_measurements')
  const firmware = pretendedFirmware()
  try {
    for (const { pcr, digest } of firmware.extensions) await execute(pcrExtend(pcr, digest))
    await writeFile(eventLogPath, firmware.log, { mode: 0o600 })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    socketPath: socket,
    chainPath: join(directory, 'chain.pem'),
    rootSha256: createHash('sha256').update(root).digest('hex'),
    eventLogPath,
    image: firmware.image,
    pid,
    stop,
  }
}

/** TPM2_PCR_Extend of the SHA-256 bank, under an empty password. */
function pcrExtend(pcr: number, digest: Buffer): Buffer {
  const command = Buffer.from(
    '80020000004100000182000000000000000940000009000000000000000001000b',
    'hex',
  )
  command.writeUInt32BE(pcr, 10)
  return Buffer.concat([command, digest])
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
