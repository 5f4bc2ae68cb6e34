// Mutants: `link` replaced by `rename` in new-file.ts, or `refuseExisting` left out there and in the command, overwrites;
// without the comparison with content-length a short backup is kept; each check of checkBackup left out takes its file;
// without `refuseHeld` a running embassy's database is moved away; with the marker left out the embassy refuses
// (test/backup.test.ts).
import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Cli, createCli } from '../test-support/cli-double.ts'

let cli: Cli
let server: Server | undefined
let socket: string
beforeEach(async () => {
  cli = await createCli()
  socket = cli.path('admin.sock')
})
afterEach(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)))
  server = undefined
  await cli.remove()
})

async function serve(answer: RequestListener): Promise<void> {
  server = createServer(answer)
  await new Promise<void>((resolve) => server!.listen(socket, resolve))
}
const text = (name: string) => readFile(cli.path(name), 'utf8')

/** The first page of a database as SQLite writes it, and nothing else true about it. */
function database({ application = 0x5345414c, layout = 2, pages = 2 } = {}): Buffer {
  const bytes = Buffer.alloc(4096 * 2)
  bytes.write('SQLite format 3\0', 'latin1')
  bytes.writeUInt16BE(4096, 16)
  bytes.writeUInt32BE(pages, 28)
  bytes.writeUInt32BE(layout, 60)
  bytes.writeUInt32BE(application, 68)
  return bytes
}

describe('sealed backup', () => {
  const backup = (...more: string[]) =>
    cli.run(['backup', '--out', 'a.backup', '--socket', socket, ...more])

  it('keeps what the embassy answers, for its owner alone, and says how far it is on stderr', async () => {
    const asked: unknown[] = []
    await serve((request, response) => {
      asked.push([request.method, request.url])
      response.writeHead(200, { 'content-length': 5 }).end('bytes')
    })
    const { err, exit, out } = await backup()
    expect([exit, asked]).toEqual([0, [['POST', '/backup']]])
    expect(await text('a.backup')).toBe('bytes')
    expect((await stat(cli.path('a.backup'))).mode & 0o777).toBe(0o600)
    expect(out).toContain('5 bytes')
    expect(err).toContain('0.0 of 0.0 MiB')
    const json = await cli.run(['backup', '--out', 'b', '--socket', socket, '--json'])
    expect(JSON.parse(json.out)).toEqual({ bytes: 5, file: 'b' })
    expect(json.err).toBe('')
  })

  it('never writes over a file, and asks nobody then', async () => {
    await writeFile(cli.path('a.backup'), 'mine')
    let asked = 0
    await serve((_, response) => {
      asked += 1
      response.end()
    })
    const { err, exit } = await backup()
    expect([exit, asked, await text('a.backup')]).toEqual([2, 0, 'mine'])
    expect(err).toContain('there already')
  })

  it('nor over one that came meanwhile', async () => {
    await serve(async (_, response) => {
      response.writeHead(200, { 'content-length': 5 }).write('byte')
      while (!(await readdir(cli.folder)).includes('a.backup.part'))
        await new Promise((resolve) => setImmediate(resolve))
      await writeFile(cli.path('a.backup'), 'mine')
      response.end('s')
    })
    expect((await backup()).exit).toBe(2)
    expect(await text('a.backup')).toBe('mine')
    expect(await readdir(cli.folder)).not.toContain('a.backup.part')
  })

  it.each([
    ['cut off', { 'content-length': 10 }],
    ['cut off, its length unknown', {}],
  ])('keeps nothing of a backup that is %s', async (_, headers) => {
    await serve((_, response) => {
      response.writeHead(200, headers)
      response.write('half', () => response.destroy())
    })
    const { err, exit } = await backup()
    expect([exit, err]).toEqual([1, expect.stringContaining('response.truncated')])
    expect((await readdir(cli.folder)).filter((name) => name.startsWith('a.'))).toEqual([])
  })

  it('keeps nothing whose size it was not told', async () => {
    await serve((_, response) => {
      response.write('bytes')
      response.end()
    })
    const { err, exit } = await backup()
    expect([exit, err]).toEqual([1, expect.stringContaining('response.truncated')])
    expect((await readdir(cli.folder)).filter((name) => name.startsWith('a.'))).toEqual([])
  })

  it('passes on what the embassy says, and says what to do when none answers', async () => {
    const error = { code: 'disk.full', message: 'no room for a copy' }
    await serve((_, response) => response.writeHead(503).end(JSON.stringify({ error })))
    const refused = await backup()
    expect([refused.exit, refused.err]).toEqual([1, expect.stringContaining('no room for a copy')])
    const nobody = await cli.run(['backup', '--out', 'b', '--socket', cli.path('none')])
    expect([nobody.exit, nobody.err]).toEqual([1, expect.stringContaining('[embassy.unavailable]')])
  })
})

it('sealed log export keeps the lines as they come, and counts them', async () => {
  const lines = '{"index":0}\n{"index":1}\n'
  await serve((request, response) => {
    expect(request.url).toBe('/log/entries')
    response.write(lines.slice(0, 5))
    response.end(lines.slice(5))
  })
  const { exit, out } = await cli.run(['log', 'export', '--out', 'a.jsonl', '--socket', socket])
  expect([exit, out]).toEqual([0, expect.stringContaining('2 leaves')])
  expect(await text('a.jsonl')).toBe(lines)
})

describe('sealed restore', () => {
  const restore = () => cli.run(['restore', 'a.backup', '--state', 'state', '--json'])
  beforeEach(async () => {
    await mkdir(cli.path('state'))
    await writeFile(cli.path('a.backup'), database(), { mode: 0o644 })
  })

  it('puts the backup in its place with the marker, and moves aside what was there', async () => {
    for (const suffix of ['', '-wal', '-shm'])
      await writeFile(cli.path(`state/embassy.db${suffix}`), `old${suffix}`)
    const { exit, out } = await restore()
    expect(exit).toBe(0)
    const { moved_aside: aside } = JSON.parse(out)
    expect(await readFile(cli.path('state/embassy.db'))).toEqual(database())
    expect((await stat(cli.path('state/embassy.db'))).mode & 0o777).toBe(0o600)
    const name = aside.slice(cli.path('state/').length)
    expect((await readdir(cli.path('state'))).sort()).toEqual(
      ['embassy.db', 'embassy.db.restored', name, `${name}-shm`, `${name}-wal`].sort(),
    )
    expect(await readFile(`${aside}-wal`, 'utf8')).toBe('old-wal')

    const again = JSON.parse((await restore()).out)
    expect(again.moved_aside).not.toBe(aside)
    expect(await readFile(aside, 'utf8')).toBe('old')
  })

  it('works where there was none', async () => {
    const { exit, out } = await restore()
    expect([exit, JSON.parse(out).moved_aside]).toEqual([0, null])
    expect((await readdir(cli.path('state'))).sort()).toEqual(['embassy.db', 'embassy.db.restored'])
  })

  it('refuses while somebody holds the database, under whatever path', async () => {
    await writeFile(cli.path('state/embassy.db'), 'old')
    const held = await open(cli.path('state/embassy.db'))
    try {
      const { exit, out } = await restore()
      expect([exit, out]).toEqual([2, expect.stringContaining(`process ${process.pid}`)])
    } finally {
      await held.close()
    }
    expect(await readdir(cli.path('state'))).toEqual(['embassy.db'])
    expect(await text('state/embassy.db')).toBe('old')
  })

  it.each([
    ['another program’s', database({ application: 0 }), 'no backup of an embassy'],
    ['of another layout', database({ layout: 1 }), 'layout 1'],
    ['cut short', database({ pages: 3 }), 'not whole'],
    ['longer than it says', database({ pages: 1 }), 'not whole'],
    ['no database', Buffer.alloc(8192), 'no backup of an embassy'],
    ['empty', Buffer.alloc(0), 'no backup of an embassy'],
  ])('refuses a file that is %s, and touches nothing', async (_, bytes, message) => {
    await writeFile(cli.path('a.backup'), bytes)
    await writeFile(cli.path('state/embassy.db'), 'old')
    const { exit, out } = await restore()
    expect([exit, out]).toEqual([2, expect.stringContaining(message)])
    expect(await readdir(cli.path('state'))).toEqual(['embassy.db'])
  })

  it('refuses a directory or a backup that is not there', async () => {
    const nowhere = await cli.run(['restore', 'a.backup', '--state', 'nowhere'])
    const nothing = await cli.run(['restore', 'nothing', '--state', 'state'])
    expect([nowhere.exit, nothing.exit]).toEqual([2, 2])
  })
})
