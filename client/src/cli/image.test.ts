// `sealed image verify`: a disk held against what its publisher says. Mutants tried: exit 0 where nothing was compared;
// digests of boot programs not compared; a PCR of the reference values that the disk has not is passed over.
import { readFile, writeFile } from 'node:fs/promises'
import { measureDisk, parsePolicy, type ReferenceValues } from '@sealed/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  disk,
  ROOT_BLOCKS,
  readOf,
  root,
  rootHash,
  SALT,
  uki,
} from '../../../protocol/src/image/test-disk.ts'
import { type Cli, createCli } from '../test-support/cli-double.ts'
import { serve } from '../test-support/gateway-double.ts'
import { MachineDouble } from '../test-support/machine-double.ts'

let cli: Cli
let whole: Uint8Array
let reference: ReferenceValues
beforeAll(async () => {
  cli = await createCli()
  const hash = await rootHash(root())
  const line = `sealed.root_blocks=${ROOT_BLOCKS} sealed.root_hash=${hash} sealed.root_salt=${SALT}`
  whole = disk(uki(line), root())
  const { image, ...rest } = await measureDisk(readOf(whole))
  reference = {
    ...rest,
    image: { ...image, name: 'sealed', version: '1' },
    packages: [],
    security_version: 1,
    version: 1,
  }
  await writeFile(cli.path('disk.raw'), whole)
})
afterAll(() => cli.remove())

async function verify(change: Partial<ReferenceValues> = {}, file = 'disk.raw') {
  await writeFile(cli.path('reference.json'), JSON.stringify({ ...reference, ...change }))
  return cli.run(['image', 'verify', file, '--reference', 'reference.json'])
}

describe('sealed image verify', () => {
  it('recomputes every value, and says which image it is', async () => {
    const { exit, out } = await verify()
    expect(exit).toBe(0)
    expect(out).toContain(reference.root_hash)
    expect(out).toContain('The disk is sealed 1: every value recomputed and equal.')
  })

  it('is incomplete where there is nothing to hold it against', async () => {
    const { exit, out } = await cli.run(['image', 'verify', 'disk.raw'])
    expect(exit).toBe(3)
    expect(out).toContain('Held against nothing.')
  })

  const other = ['11'.repeat(32)]
  const withPcrs = (change: (rows: ReferenceValues['image']['pcrs']) => typeof rows) => ({
    image: { ...reference.image, pcrs: change(reference.image.pcrs) },
  })
  it.each<[string, () => Partial<ReferenceValues>, RegExp]>([
    [
      'another PCR',
      () => withPcrs((rows) => rows.map((row, i) => (i === 1 ? { ...row, digests: other } : row))),
      /PCR 9/,
    ],
    [
      'one PCR more',
      () => withPcrs((rows) => [...rows, { digests: other, index: 10 }]),
      /PCRs named/,
    ],
    ['one PCR less', () => withPcrs((rows) => rows.slice(0, -1)), /PCR 12/],
    ['other boot programs', () => ({ image: { ...reference.image, uki: other } }), /boot programs/],
    ['another command line', () => ({ command_line: 'x' }), /command line/],
    ['another root', () => ({ root_hash: '11'.repeat(32) }), /root hash/],
  ])('fails where the reference values have %s, and says what differs', async (_, change, what) => {
    const { exit, out } = await verify(change())
    expect(exit).toBe(1)
    expect(out).toMatch(what)
    expect(out).toContain('Not the image')
  })

  it('fails for a root that is not what the command line says', async () => {
    const altered = whole.slice()
    altered[altered.length - 4096]! ^= 1
    await writeFile(cli.path('altered.raw'), altered)
    const { err, exit } = await verify(undefined, 'altered.raw')
    expect([exit, err]).toEqual([1, expect.stringContaining('the machine would stop at it')])
  })

  it('says what is wrong with a file that is none', async () => {
    await writeFile(cli.path('text.raw'), 'not a disk')
    expect((await verify(undefined, 'text.raw')).exit).toBe(1)
    expect((await verify(undefined, 'absent.raw')).exit).toBe(2)
    await writeFile(cli.path('bad.json'), '{"version":1}')
    const { err, exit } = await cli.run(['image', 'verify', 'disk.raw', '--reference', 'bad.json'])
    expect([exit, err]).toEqual([1, expect.stringContaining('reference values')])
  })

  it('gives JSON to programs', async () => {
    await verify()
    const { out } = await cli.run([
      ...['image', 'verify', 'disk.raw', '--reference', 'reference.json', '--json'],
    ])
    expect(JSON.parse(out)).toMatchObject({ differences: [], root_hash: reference.root_hash })
  })
})

it('a policy may be drawn with an image’s reference values in the place of what the machine states', async () => {
  await verify()
  const { fetch } = serve(await MachineDouble.create())
  const argv = ['policy', 'init', '--image', 'reference.json', '--out', 'drawn.json']
  const { err, exit } = await cli.run(argv, { fetch })
  // The machine double booted something else, and it is said.
  expect([exit, err]).toEqual([1, expect.stringContaining('document.pcr_reference')])
  const policy = parsePolicy(await readFile(cli.path('drawn.json'), 'utf8'))
  expect(policy.images).toEqual([reference.image])
})
