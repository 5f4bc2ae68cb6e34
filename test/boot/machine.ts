// A machine that starts from a disk: QEMU without acceleration, OVMF with Secure Boot under the release's keys, a software
// TPM laid out like GCE's, and a network in which there are a metadata server, a registry, and nothing else. What it does
// is seen from outside only, as a stranger sees it: by its answers, by what it asked for, and by its end.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { cp, mkdir, rm, truncate } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { run } from '../../scripts/world/run.ts'
import { freePort } from '../support/free-port.ts'
import { writeVariables } from './firmware-variables.ts'

const FIRMWARE = '/usr/share/OVMF'
/** Of the disk: what is more than the image becomes the state partition. */
const DISK_BYTES = 4 * 1024 ** 3
const MEMORY_MIB = 2048
/** Addresses on the machine's one link: where GCE has its metadata server, and a registry beside it. */
const SUBNET = 'net=169.254.169.0/24,host=169.254.169.1,dns=169.254.169.3,dhcpstart=169.254.169.15'
export const REGISTRY = '169.254.169.253'

export interface MachineOptions {
  /** For all that is the machine's own. */
  directory: string
  /** A disk image; it is copied. */
  disk: string
  /** With the signature lists of Secure Boot. */
  keys: string
  /** Of a software TPM that was never powered on, as `provision` fills it; the machine gets a copy. */
  tpm: string
  /** Ports on loopback. */
  metadata: number
  registry?: number
  /** Further disk images, attached as they are, to be read only. */
  disks?: readonly string[]
}

export class Machine {
  readonly #options: MachineOptions
  readonly disk: string
  #children: ChildProcess[] = []
  #qemu: ChildProcess | undefined
  /** On loopback; leads to the machine's port 443. */
  port = 0

  constructor(options: MachineOptions) {
    this.#options = options
    this.disk = join(options.directory, 'disk.raw')
  }

  /** A new machine of this disk: nothing has started from it yet. */
  async make(): Promise<void> {
    const { directory, disk, keys, tpm } = this.#options
    await mkdir(directory, { recursive: true })
    await cp(tpm, join(directory, 'tpm'), { recursive: true })
    await run('cp', ['--sparse=always', disk, this.disk])
    await truncate(this.disk, DISK_BYTES)
    writeVariables(join(FIRMWARE, 'OVMF_VARS_4M.fd'), keys, join(directory, 'vars.fd'))
  }

  async powerOn(): Promise<void> {
    const { directory, disks = [], metadata, registry } = this.#options
    this.port = await freePort()
    const socket = join(directory, 'tpm.sock')
    for (const path of [socket, this.#monitor]) await rm(path, { force: true })
    this.#spawn('swtpm', [
      ...['socket', '--tpm2', '--tpmstate', `dir=${join(directory, 'tpm', 'state')},mode=0600`],
      ...['--ctrl', `type=unixio,path=${socket},mode=0600`, '--flags', 'startup-clear'],
      '--terminate',
    ])
    await until(() => run('test', ['-S', socket]))
    const to = (address: string, port: number, local: number) =>
      `guestfwd=tcp:${address}:${port}-cmd:busybox nc 127.0.0.1 ${local}`
    const net = [
      ...['user', 'id=net', SUBNET, 'restrict=on', `hostfwd=tcp:127.0.0.1:${this.port}-:443`],
      to('169.254.169.254', 80, metadata),
      ...(registry === undefined ? [] : [to(REGISTRY, 443, registry)]),
    ]
    this.#qemu = this.#spawn('qemu-system-x86_64', [
      ...['-machine', 'q35,smm=on', '-accel', 'tcg,thread=multi', '-cpu', 'max'],
      ...['-monitor', `unix:${this.#monitor},server,nowait`],
      ...['-smp', '2', '-m', `${MEMORY_MIB}`, '-nodefaults', '-nographic', '-no-reboot'],
      ...['-global', 'driver=cfi.pflash01,property=secure,value=on'],
      ...['-serial', `file:${join(directory, 'serial.log')}`],
      ...flash(0, join(FIRMWARE, 'OVMF_CODE_4M.secboot.fd'), ',readonly=on'),
      ...flash(1, join(directory, 'vars.fd')),
      ...['-drive', `if=none,id=disk,format=raw,file=${this.disk}`],
      ...['-device', 'virtio-blk-pci,drive=disk,bootindex=1'],
      ...disks.flatMap((file, i) => [
        ...['-drive', `if=none,id=more${i},format=raw,readonly=on,file=${file}`],
        ...['-device', `virtio-blk-pci,drive=more${i}`],
      ]),
      // Without a boot program in the card's own memory: a cloud's has none, and it would be measured.
      ...['-netdev', net.join(','), '-device', 'virtio-net-pci,netdev=net,romfile='],
      ...['-chardev', `socket,id=tpm,path=${socket}`, '-tpmdev', 'emulator,id=tpm0,chardev=tpm'],
      ...['-device', 'tpm-crb,tpmdev=tpm0'],
    ])
  }

  /** What firmware, and a debug image, wrote to the serial port. */
  get serial(): string {
    return readFileSync(join(this.#options.directory, 'serial.log'), 'latin1')
  }

  get running(): boolean {
    return this.#qemu?.exitCode === null && this.#qemu.signalCode === null
  }

  /** Resolves when `test` does not fail any more; fails when the machine goes off before. */
  async until<T>(test: () => Promise<T>, deadlineMs: number): Promise<T> {
    return until(test, deadlineMs, () => {
      if (!this.running) throw new Error(`the machine went off:\n${this.serial.slice(-4000)}`)
    })
  }

  /** Resolves when the machine has gone off by itself. */
  async off(deadlineMs: number): Promise<void> {
    await until(async () => {
      if (this.running) throw new Error('the machine is still on')
    }, deadlineMs)
    await this.#end()
  }

  /** As a cloud stops a machine: the power button, by ACPI. */
  async pressPower(): Promise<void> {
    const socket = createConnection({ path: this.#monitor })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.end('system_powerdown\n', resolve)
    })
  }

  get #monitor(): string {
    return join(this.#options.directory, 'monitor.sock')
  }

  /** As if its plug were pulled. */
  async cut(): Promise<void> {
    this.#qemu?.kill('SIGKILL')
    await this.#end()
  }

  async #end(): Promise<void> {
    for (const child of this.#children.splice(0).reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await ended
    }
  }

  #spawn(command: string, args: string[]): ChildProcess {
    const log = openSync(join(this.#options.directory, `${command}.log`), 'a')
    const child = spawn(command, args, { stdio: ['ignore', log, log] })
    closeSync(log)
    const end = () => child.kill('SIGKILL')
    process.once('exit', end)
    child.once('exit', () => process.off('exit', end))
    this.#children.push(child)
    return child
  }
}

const flash = (unit: number, file: string, more = '') => [
  '-drive',
  `if=pflash,format=raw,unit=${unit},file=${file}${more}`,
]

async function until<T>(
  test: () => Promise<T>,
  deadlineMs = 10_000,
  between: () => void = () => {},
): Promise<T> {
  const end = performance.now() + deadlineMs
  for (;;) {
    try {
      return await test()
    } catch (error) {
      between()
      if (performance.now() > end) throw error
      await delay(100)
    }
  }
}
