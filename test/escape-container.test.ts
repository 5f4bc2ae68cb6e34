// What a container of ours can do by itself: nothing gets out before its first instruction is sealed, it opens no
// socket that a packet filter would not see, writes nowhere but in its own corners, and nobody keeps what it prints.
import { execFileSync } from 'node:child_process'
import { chownSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Docker from 'dockerode'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { WorkloadSpec } from '../embassy/src/containers/index.ts'
import { quiet } from './support/escape-matrix.ts'
import { buildStage, FAR, OPEN_TO_ALL, PORT, type Stage } from './support/escape-world.ts'
import { buildPerlImage, hasty } from './support/perl-image.ts'
import {
  CALLS,
  inside as insideOf,
  OPEN_SOCKETS,
  SHUT_SOCKETS,
  tryCall,
} from './support/system-calls.ts'
import { READ_ONLY, TRIES, weightsIn } from './support/weights-mount.ts'

const TIMES = 50
const ADDRESSES = [FAR.outside[4], FAR.outside[6]]

let stage: Stage
let directory: string
let perl: string
let pause: string
let births = 0

beforeAll(async () => {
  stage = await buildStage()
  directory = await mkdtemp(join(tmpdir(), 'sealed-container-'))
  chownSync(directory, 64102, 64102)
  perl = await buildPerlImage(join(directory, 'perl.tar'))
  await stage.containers.loadImage(join(directory, 'perl.tar'), perl)
  pause = (await stage.place(2, OPEN_TO_ALL)).pause
})
afterAll(async () => {
  await stage?.stop()
  await rm(directory, { recursive: true })
})

const spec = (command: readonly string[], more: Partial<WorkloadSpec> = {}): WorkloadSpec => ({
  name: `sealed-e5ca-workload-${births++}`,
  image: perl,
  instance: 'e5ca',
  pause,
  env: [],
  memoryBytes: 64 * 1024 * 1024,
  pids: 16,
  command,
  ...more,
})

/** Runs a perl program in a container; what it writes to the handle RESULT is the outcome. */
const inside = (program: string, more: Partial<WorkloadSpec> = {}) =>
  insideOf(
    stage.containers,
    directory,
    (command, mount) => spec(command, { ...mount, ...more }),
    program,
  )

/** Tokens of this run that the outside has seen; each start has one of its own. */
const seen = async (tokens: readonly string[]): Promise<string[]> => {
  await quiet()
  const received = new Set(await stage.outside.received())
  return tokens.filter((token) => received.has(token))
}
const tokens = (mark: string) =>
  Array.from({ length: TIMES }, (_, turn) => `tok:${mark}${turn.toString(16).padStart(8, '0')}`)

describe('a workload whose first instruction connects out', () => {
  test(`delivers 0 of ${TIMES} at start`, async () => {
    const each = tokens('aaaa')
    for (const token of each) {
      const { id } = await stage.containers.startWorkload(spec(hasty(ADDRESSES, PORT, token)))
      await stage.containers.ended(id)
      await stage.containers.remove(id)
    }
    expect(await seen(each)).toEqual([])
  })

  test(`delivers 0 of ${TIMES} at restart`, async () => {
    const token = 'tok:bbbb00000000'
    const { id } = await stage.containers.startWorkload(spec(hasty(ADDRESSES, PORT, token)))
    for (let turn = 0; turn < TIMES; turn++) {
      await stage.containers.ended(id)
      await stage.containers.restart(id)
    }
    await stage.containers.ended(id)
    await stage.containers.remove(id)
    expect(await seen([token])).toEqual([])
  })

  test('delivers from a replica that was born with it, 0 of 5', async () => {
    const each = tokens('cccc').slice(0, 5)
    for (const [index, token] of each.entries()) {
      const born = await stage.place(10 + index, OPEN_TO_ALL)
      const { id } = await stage.containers.startWorkload(
        spec(hasty(ADDRESSES, PORT, token), { pause: born.pause }),
      )
      await stage.containers.ended(id)
      await stage.containers.remove(id)
    }
    expect(await seen(each)).toEqual([])
  })

  test('delivers when it is released, so that the count can be other than 0', async () => {
    const born = await stage.place(20, OPEN_TO_ALL)
    await stage.seal.release(born.link)
    const token = 'tok:dddd00000000'
    const { id } = await stage.containers.startWorkload(
      spec(hasty(ADDRESSES, PORT, token), { pause: born.pause }),
    )
    await expect.poll(() => stage.outside.received(), { timeout: 10_000 }).toContain(token)
    await stage.containers.remove(id)
  })
})

describe('the measure before the start', () => {
  test('refuses an image that the engine does not hold, and starts nothing', async () => {
    const other = spec(['/usr/bin/perl'], { image: 'ab'.repeat(32) })
    await expect(stage.containers.startWorkload(other)).rejects.toMatchObject({
      code: 'config.invalid',
    })
    await expect(stage.containers.inspect(other.name)).rejects.toThrow()
  })

  test('refuses an archive that holds another image', async () => {
    const archive = join(directory, 'perl.tar')
    await expect(stage.containers.loadImage(archive, 'cd'.repeat(32))).rejects.toMatchObject({
      code: 'config.invalid',
    })
  })
})

const [REFUSED, UNKNOWN] = [1, 38]

describe('system calls', () => {
  test.each(OPEN_SOCKETS)('may open a socket: %s', async (_, family, type, protocol) => {
    const { result } = await inside(tryCall([CALLS.socket, family, type, protocol]))
    expect(result).toBe('0')
  })

  test.each(SHUT_SOCKETS)('may not open a socket: %s', async (_, family, type, protocol) => {
    const { result } = await inside(tryCall([CALLS.socket, family, type, protocol]))
    expect(result).toBe(String(REFUSED))
  })

  test.each([
    ['io_uring_setup', CALLS.io_uring_setup, UNKNOWN],
    ['unshare', CALLS.unshare, REFUSED],
    ['setns', CALLS.setns, REFUSED],
    ['mount', CALLS.mount, REFUSED],
    ['ptrace', CALLS.ptrace, REFUSED],
    ['bpf', CALLS.bpf, REFUSED],
    ['perf_event_open', CALLS.perf_event_open, REFUSED],
    ['userfaultfd', CALLS.userfaultfd, REFUSED],
    ['keyctl', CALLS.keyctl, REFUSED],
    ['process_vm_readv', CALLS.process_vm_readv, REFUSED],
    ['pidfd_getfd', 438, REFUSED],
    ['clone3', 435, UNKNOWN],
  ])('may not call %s', async (_, number, errno) => {
    // Arguments that the kernel itself would answer by another error.
    const { result } = await inside(tryCall([number, 0, 0, 0, 0, 0]))
    expect(result).toBe(String(errno))
  })

  test('are refused by the profile and not by this machine: here they get further', () => {
    const free = ([number, ...args]: number[]) =>
      execFileSync('/usr/bin/perl', [
        '-e',
        `open(RESULT, '>&STDOUT'); ${tryCall([number!, ...args])}`,
      ]).toString()
    expect(free([CALLS.socket, 17, 3, 0])).toBe('0')
    expect(free([CALLS.socket, 2, 3, 253])).toBe('0')
    expect(free([CALLS.unshare, 0])).toBe('0')
    expect(free([CALLS.io_uring_setup, 0, 0])).not.toBe(String(UNKNOWN))
  })
})

describe('a container', () => {
  test('is an unprivileged user without capabilities, and cannot get any', async () => {
    const { result } = await inside(`open(S, '/proc/self/status'); print RESULT <S>`)
    expect(result).toMatch(/^Uid:\t64102\t64102\t64102\t64102$/m)
    expect(result).toMatch(/^Gid:\t64102\t64102\t64102\t64102$/m)
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect(result).toMatch(new RegExp(`^${set}:\t0{16}$`, 'm'))
    expect(result).toMatch(/^NoNewPrivs:\t1$/m)
    expect(result).toMatch(/^Seccomp:\t2$/m)
  })

  test('writes to /tmp and /activations only, and runs nothing from /tmp', async () => {
    const write = (path: string) => `print RESULT (open(F, '>', '${path}') ? 0 : $! + 0), ' '`
    const run = `open(F, '>', '/tmp/x'); print F "#!/usr/bin/perl\\n"; close F; chmod 0755, '/tmp/x'; exec('/tmp/x') or print RESULT $! + 0`
    const { result } = await inside(
      [...['/x', '/usr/x', '/etc/x', '/tmp/y', '/activations/y'].map(write), run].join('; '),
    )
    expect(result).toBe('30 30 30 0 0 13')
  })

  test('asks no name server but its own loopback', async () => {
    const { result } = await inside(
      `open(S, '/etc/resolv.conf'); print RESULT grep /^nameserver/, <S>`,
    )
    expect(result).toBe('nameserver 127.0.0.1\n')
  })

  test('has no more processes and no more memory than it was given', async () => {
    const fork = await inside(
      'for (1..64) { defined($p = fork) or last; if (!$p) { sleep 60; exit } $n++ } print RESULT $n; close RESULT; kill 9, -getppid; exit',
      { pids: 8 },
    )
    expect(Number(fork.result)).toBeLessThan(8)
    const hungry = await inside(`$n = shift || 1 << 28; $x = 'x' x $n; print RESULT 'had it'`)
    expect(hungry).toMatchObject({ exitCode: 137, result: '' })
  })

  test('ends with its own code, and that is seen', async () => {
    expect(await inside('exit 7')).toMatchObject({ exitCode: 7, outOfMemory: false })
  })

  test('leaves nothing of what it printed', async () => {
    const { id } = await stage.containers.startWorkload(
      spec(['/usr/bin/perl', '-e', 'print "a secret\\n"; print STDERR "another\\n"']),
    )
    await stage.containers.ended(id)
    const logs = new Docker().getContainer(id).logs({ stdout: true, stderr: true })
    await expect(logs).rejects.toThrow(/does not support reading/)
    await stage.containers.remove(id)
  })
})

describe('what a workload’s file asks for', () => {
  test('memory at /dev/shm and /tmp is as much as it says, and executes nothing', async () => {
    const { result } = await inside(
      "open(MOUNTS, '<', '/proc/mounts'); print RESULT grep { m{ /(?:dev/shm|tmp) } } <MOUNTS>",
      { runtime: 'runc', shmBytes: 8 * 1024 * 1024, tmpBytes: 4 * 1024 * 1024 },
    )
    expect(result).toMatch(/^\S+ \/dev\/shm tmpfs \S*noexec\S*size=8192k/m)
    expect(result).toMatch(/^\S+ \/tmp tmpfs \S*noexec\S*size=4096k/m)
  })

  test('weights are read at their path, and nothing is written there', async () => {
    const { result } = await inside(TRIES, await weightsIn(directory))
    expect(result).toBe(READ_ONLY)
  })

  test('a runtime that the engine does not have is an error that says so, and nothing starts', async () => {
    const wanted = spec(['/usr/bin/perl', '-e', '1'], { runtime: 'none-such' as 'runsc' })
    await expect(stage.containers.startWorkload(wanted)).rejects.toThrow(
      /no runtime none-such: install it.*it has .*runc/,
    )
    await expect(new Docker().getContainer(wanted.name).inspect()).rejects.toThrow('no such')
  })
})
