// An image that holds Debian's perl and nothing else: with it a test makes any system call from inside a container.
// perl-base is on every Debian and Ubuntu, needs no library of its own, and starts in a few milliseconds.
import { imageOf, withLibraries } from './files-image.ts'

/** Writes the archive; resolves with the image's id in hex. */
export const buildPerlImage = (out: string): Promise<string> =>
  imageOf('perl', withLibraries('/usr/bin/perl'), ['/usr/bin/perl'], out)

/** A perl program that sends `token` by TCP and by UDP to every address, as the first thing it does. */
export function hasty(addresses: readonly string[], port: number, token: string): string[] {
  const sends = addresses.map((address) => {
    const v6 = address.includes(':')
    const bytes = v6 ? hex6(address) : Buffer.from(address.split('.').map(Number)).toString('hex')
    const peer = v6
      ? `pack('S n N H32 N', 10, ${port}, 0, '${bytes}', 0)`
      : `pack('S n H8 x8', 2, ${port}, '${bytes}')`
    const family = v6 ? 10 : 2
    return `for $kind (1, 2) { socket($s, ${family}, $kind, 0); connect($s, ${peer}) and syswrite($s, '${token}') }`
  })
  return ['/usr/bin/perl', '-e', `$SIG{ALRM} = sub { exit 1 }; alarm 5; ${sends.join('; ')}`]
}

function hex6(address: string): string {
  const [head = '', tail = ''] = address.split('::')
  const groups = (side: string) => side.split(':').filter(Boolean)
  const [first, last] = [groups(head), groups(tail)]
  const zeros = Array<string>(8 - first.length - last.length).fill('0')
  return [...first, ...zeros, ...last].map((group) => group.padStart(4, '0')).join('')
}
