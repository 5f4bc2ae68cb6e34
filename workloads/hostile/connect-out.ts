// Connects out as the very first thing this process does: `CONNECT_OUT` is a list of `host:port` (IPv6 in brackets),
// each tried by TCP and by UDP with `CONNECT_OUT_TOKEN`. Never retries: it is the first instruction that is tested.
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { setImmediate } from 'node:timers/promises'

const token = process.env.CONNECT_OUT_TOKEN ?? 'first instruction'

for (const target of (process.env.CONNECT_OUT ?? '').split(',').filter(Boolean)) {
  const colon = target.lastIndexOf(':')
  const host = target.slice(0, colon).replace(/^\[|\]$/g, '')
  const port = Number(target.slice(colon + 1))
  const tcp = connect({ host, port }, () => tcp.end(token))
  tcp.on('error', () => tcp.destroy())
  const udp = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  udp.on('error', () => udp.close())
  udp.send(token, port, host, () => udp.close())
}

// Sockets connect in the next turn of the event loop: without this, loading the rest would come before it.
await setImmediate()
