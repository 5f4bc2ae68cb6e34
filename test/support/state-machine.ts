// A machine with a software TPM and a state disk that is a file: cryptsetup, mke2fs and e2fsck are the real ones, and
// so is the TPM. What needs the kernel's device mapper is played: instead of mapping, the key is proven on the header
// (`cryptsetup open --test-passphrase`), and a file stands where the mapping would be; nothing is mounted.
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Approval } from '../../embassy/src/state-disk/approvals.ts'
import { IMAGE_PCRS, policyKeyArea } from '../../embassy/src/state-disk/policy.ts'
import { type Command, type Run, run } from '../../embassy/src/state-disk/run.ts'
import type { Image } from '../../embassy/src/state-disk/sealed-key.ts'
import { signApprovals } from '../../embassy/src/state-disk/sign.ts'
import { bringUp } from '../../embassy/src/state-disk/state-disk.ts'
import {
  flushContext,
  pcrExtend,
  pcrRead,
  transientHandles,
} from '../../embassy/src/tpm/commands.ts'
import { type Execute, Link } from '../../embassy/src/tpm/link.ts'
import { openTransport } from '../../embassy/src/tpm/transport.ts'
import type { SoftwareTpm } from '../../scripts/world/tpm.ts'
import { type Lab, openLab } from './software-tpm.ts'

export interface PolicyKey {
  readonly private: KeyObject
  readonly area: Uint8Array
}

export function newPolicyKey(): PolicyKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { private: privateKey, area: policyKeyArea(publicKey.export({ format: 'jwk' })) }
}

/** What the release process made of one image. */
export interface Release {
  /** Measured into PCR 11, as an image's content is. */
  readonly content: string
  readonly securityVersion: number
  readonly oldest?: number
  readonly key: PolicyKey
  /** In the place of the approvals that its release would carry. */
  readonly approvals?: readonly Approval[]
}

export const sha256 = (...parts: Uint8Array[]) =>
  new Uint8Array(createHash('sha256').update(Buffer.concat(parts)).digest())

/** Runs jobs on a TPM as the service does, each connection beginning with nothing loaded. */
export async function onTpm<T>(tpm: SoftwareTpm, job: (execute: Execute) => Promise<T>) {
  const greet = async (execute: Execute) => {
    for (const left of await execute(transientHandles())) await execute(flushContext(left))
  }
  const link = new Link({ dial: () => openTransport(tpm.socketPath), greet, timeoutMs: 60_000 })
  try {
    return await link.run(job)
  } finally {
    await link.close(async () => undefined)
  }
}

export class StateMachine {
  readonly lab: Lab
  readonly directory: string
  tpm: SoftwareTpm
  /** Every tool that ran, as it was called. */
  readonly ran: Command[] = []
  /** Called before each tool and each TPM command: throws to play a stop there. */
  before: (what: string) => void = () => undefined
  #firmware: ReadonlyMap<number, Uint8Array> = new Map()

  private constructor(lab: Lab, tpm: SoftwareTpm, directory: string) {
    this.lab = lab
    this.tpm = tpm
    this.directory = directory
  }

  static async open(): Promise<StateMachine> {
    const lab = await openLab()
    const directory = await mkdtemp(join(tmpdir(), 'sealed-state-'))
    const machine = new StateMachine(lab, await lab.start(), directory)
    await mkdir(machine.mapper)
    machine.#firmware = await machine.imagePcrs()
    return machine
  }

  async close(): Promise<void> {
    await this.lab.close()
    await rm(this.directory, { recursive: true })
  }

  get mapper() {
    return join(this.directory, 'mapper')
  }

  /** An empty disk. */
  async newDisk(name: string): Promise<string> {
    const path = join(this.directory, name)
    await writeFile(path, '')
    await truncate(path, 32 << 20)
    return path
  }

  /** Off and on again, into another system than any release of ours. */
  async reboot(): Promise<void> {
    await this.tpm.stop()
    this.tpm = await this.lab.start()
  }

  /** Off and on again, into this release. */
  async boot({ content }: Release): Promise<void> {
    await this.reboot()
    await onTpm(this.tpm, (execute) => execute(pcrExtend(11, sha256(Buffer.from(content)))))
  }

  async imagePcrs(): Promise<ReadonlyMap<number, Uint8Array>> {
    return onTpm(this.tpm, async (execute) => {
      const { selected, digests } = await execute(pcrRead(IMAGE_PCRS))
      return new Map(selected.map((pcr, i) => [pcr, digests[i]!]))
    })
  }

  /** What is built into the image, and its approvals, made from its predicted PCRs alone. */
  image(release: Release): Image {
    const { content, securityVersion, oldest = 1, key } = release
    const pcrs = new Map(this.#firmware)
    pcrs.set(11, sha256(pcrs.get(11)!, sha256(Buffer.from(content))))
    const versions = { oldest, own: securityVersion }
    const approvals = signApprovals(key.private, [{ name: content, pcrs }], versions)
    return {
      policyKey: key.area,
      securityVersion,
      approvals: release.approvals ?? approvals,
    }
  }

  /** The service of this release, on the boot as it is. */
  bringUp(release: Release, device: string): Promise<'made' | 'opened'> {
    const runtime = join(this.directory, 'run')
    const disk = { device, mount: join(this.directory, 'mnt'), name: 'state', runtime }
    const tpm = <T>(job: (execute: Execute) => Promise<T>) =>
      onTpm(this.tpm, (execute) =>
        job((command) => {
          this.before(command.name)
          return execute(command)
        }),
      )
    return bringUp({ run: this.#run, tpm, mapper: this.mapper }, disk, this.image(release))
  }

  /** Boots the release and brings the state up, as a machine does. */
  async start(release: Release, device: string): Promise<'made' | 'opened'> {
    await this.boot(release)
    return this.bringUp(release, device)
  }

  readonly #run: Run = async (command, input) => {
    this.before(command.slice(0, 3).join(' '))
    this.ran.push(command)
    const [tool, action, ...rest] = command
    if (tool === 'mount' || (tool === 'cryptsetup' && action === 'close')) return ''
    if (tool !== 'cryptsetup' || action !== 'open') return run(command, input)
    const options = rest.slice(0, -1)
    await run(['cryptsetup', 'open', '--test-passphrase', ...options], input)
    const mapping = join(this.mapper, 'state')
    await writeFile(mapping, '', { flag: 'a' })
    await truncate(mapping, 28 << 20)
    return ''
  }
}
