// The path that a cloud VM takes: a character device instead of a socket. A pseudo-terminal in raw mode
// plays the device (python's standard library makes one), with a real software TPM behind it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTpm } from '../embassy/src/tpm/index.ts'
import { type Lab, openLab } from './support/software-tpm.ts'

// argv: the TPM's socket, and how many responses to pass before falling silent (-1: never).
const DEVICE = `
import os, pty, socket, struct, sys, tty
master, slave = pty.openpty()
tty.setraw(slave)
tpm = socket.socket(socket.AF_UNIX)
tpm.connect(sys.argv[1])
left = int(sys.argv[2])
print(os.ttyname(slave), flush=True)
def exactly(read, size):
    data = b''
    while len(data) < size:
        data += read(size - len(data))
    return data
def message(read):
    head = exactly(read, 10)
    return head + exactly(read, struct.unpack('>I', head[2:6])[0] - 10)
while True:
    tpm.sendall(message(lambda n: os.read(master, n)))
    response = message(tpm.recv)
    if left == 0:
        sys.stdin.read()
    left -= 1
    os.write(master, response)
`

let lab: Lab
const devices: ChildProcess[] = []

beforeAll(async () => {
  lab = await openLab()
})
afterAll(async () => {
  for (const device of devices) device.kill('SIGKILL')
  await lab.close()
})

async function device(name: string, responses = -1): Promise<{ path: string; end(): void }> {
  const world = await lab.start(name)
  const child = spawn('python3', ['-c', DEVICE, world.socketPath, String(responses)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  devices.push(child)
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { path: String(line).trim(), end: () => void child.kill('SIGKILL') }
}

test('opens, extends, reads, counts and quotes over a character device', async () => {
  const { path } = await device('whole')
  const tpm = await openTpm(path)
  await tpm.extend(14, new Uint8Array(32).fill(1))
  const pcrs = await tpm.readPcrs(Array.from({ length: 24 }, (_, pcr) => pcr))
  expect(pcrs.size).toBe(24)
  await tpm.counter.define(0x01500018)
  expect(await tpm.counter.read(0x01500018)).toBeGreaterThan(0n)
  const { attest } = await tpm.quote(new Uint8Array(32).fill(7), [14])
  expect(Buffer.from(attest).subarray(44, 76)).toEqual(Buffer.alloc(32, 7))
  await tpm.close()
})

test('a device that hangs fails the command, and is not opened again while it hangs', async () => {
  const opening = 15
  const { path, end } = await device('hanging', opening)
  const tpm = await openTpm(path, { timeoutMs: 1000 })
  const calls = Array.from({ length: opening }, () => tpm.clock())
  const outcomes = await Promise.allSettled(calls)
  const reasons = outcomes.flatMap((o) => (o.status === 'rejected' ? [String(o.reason)] : []))
  expect(reasons[0]).toMatch(/TPM2_ReadClock failed: no answer within 1000 ms/)
  expect(reasons[1]).toMatch(/an earlier command still hangs in \/dev\/pts/)
  end()
  await tpm.close()
})
