// The outside host must see everything that reaches it: a blind witness would pass every seal.
import { execFile, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createConnection } from 'node:net'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { type Outside, startOutside } from '../scripts/world/outside.ts'

const run = promisify(execFile)
const started: Outside[] = []
afterEach(async () => {
  for (const outside of started.splice(0)) await outside.stop()
})

async function start(id: string): Promise<Outside> {
  const outside = await startOutside({ id })
  started.push(outside)
  return outside
}

async function ask(host: string, port: number, text: string): Promise<string> {
  const socket = createConnection({ host, port })
  socket.write(text)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return String(answer)
}

async function datagram(type: 'udp4' | 'udp6', host: string, port: number, text: string) {
  const socket = createSocket(type)
  const answered = once(socket, 'message')
  socket.send(text, port, host)
  const [answer] = (await answered) as [Buffer]
  socket.close()
  return String(answer)
}

test('answers and reports TCP, UDP and ICMP over IPv4 and IPv6', async () => {
  const outside = await start('t1')
  const { address4, address6, ports } = outside
  expect(await outside.received()).toEqual([])
  expect(await ask(address4, ports.tcp, 'over four')).toBe('over four')
  expect(await ask(address6, ports.tcp, 'GET / HTTP/1.1\r\n\r\n')).toMatch(
    /^HTTP\/1.1 200 .*outside/s,
  )
  expect(await datagram('udp4', address4, ports.udp, 'datagram four')).toBe('datagram four')
  expect(await datagram('udp6', address6, ports.udp, 'datagram six')).toBe('datagram six')
  await run('busybox', ['ping', '-c', '1', address4])
  await run('busybox', ['ping', '-6', '-c', '1', address6])
  const here4 = address4.replace(/\d+$/, (last) => String(Number(last) - 1))
  const here6 = address6.replace(/2$/, '1')
  const received = await outside.received()
  for (const expected of [
    `tcp ${here4} over four`,
    `tcp ${here6} GET / HTTP/1.1\r\n\r\n`,
    `udp ${here4} datagram four`,
    `udp ${here6} datagram six`,
    `packets icmp ${here4}: 1`,
    `packets ipv6-icmp ${here6}: 1`,
    `packets udp ${here4} to 5353: 1`,
    `packets udp ${here6} to 5353: 1`,
  ])
    expect(received).toContain(expected)
  await outside.forget()
  expect(await outside.received()).toEqual([])
})

test('reports what no server of it takes: a closed port, another protocol', async () => {
  const outside = await start('t2')
  await expect(ask(outside.address4, 4444, 'x')).rejects.toThrow('ECONNREFUSED')
  expect(await outside.received()).toEqual([
    expect.stringMatching(/^packets tcp 198\.18\.\d+\.\d+ to 4444: 1$/),
  ])
})

test('has no way out but its own link', async () => {
  const outside = await start('t3')
  const routes = async () => (await run('ip', ['-n', outside.namespace, 'route'])).stdout
  expect(await routes()).not.toContain('default')
  await outside.route('10.99.0.0/24')
  expect(await routes()).toMatch(/^10\.99\.0\.0\/24 via 198\.18\./m)
})

test('two live side by side, and stop leaves nothing', async () => {
  const [one, two] = [await start('t4'), await start('t5')]
  expect(one.address4).not.toBe(two.address4)
  expect(await ask(two.address4, two.ports.tcp, 'to two')).toBe('to two')
  expect(await one.received()).toEqual([])
  for (const { namespace, interfaceName, stop } of [one, two]) {
    await stop()
    expect(existsSync(`/run/netns/${namespace}`)).toBe(false)
    expect(existsSync(`/sys/class/net/${interfaceName}`)).toBe(false)
  }
})

test('what a killed starter left is swept by the next start of the same id', async () => {
  const module = new URL('../scripts/world/outside.ts', import.meta.url).href
  const script = `import { startOutside } from ${JSON.stringify(module)}
    console.log((await startOutside({ id: 't6' })).namespace)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await exited
  expect(existsSync('/run/netns/sealed-out-t6')).toBe(true)
  const outside = await start('t6')
  expect(await ask(outside.address4, outside.ports.tcp, 'again')).toBe('again')
})

test('refuses an id that would not fit an interface name', async () => {
  await expect(startOutside({ id: 'far-too-long' })).rejects.toThrow('1 to 8 of a-z')
})
