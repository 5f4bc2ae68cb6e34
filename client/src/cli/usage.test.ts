// Mutants: `field` that quotes nothing, or leaves a formula; `>=` or `<=` inverted; answered and aborted swapped.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Cli, createCli } from '../test-support/cli-double.ts'

const row = (day: string, caller: string, answered: number, aborted: number) => ({
  day,
  caller,
  answered,
  aborted,
  input_bytes: 10 * answered,
  output_bytes: 1_000 * answered,
})
let usage: object[] = []
let cli: Cli
let embassy: Server
beforeEach(async () => {
  cli = await createCli()
  embassy = createServer((incoming, response) =>
    incoming.url === '/usage' ? response.end(JSON.stringify({ usage })) : response.destroy(),
  )
  embassy.listen(cli.path('admin.sock'))
  await once(embassy, 'listening')
  usage = [
    row('2026-11-26', 'laptop', 3, 1),
    row('2026-11-27', 'laptop', 2, 0),
    row('2026-11-27', 'site', 12, 4),
  ]
})
afterEach(async () => {
  embassy.closeAllConnections()
  await new Promise((resolve) => embassy.close(resolve))
  await cli.remove()
})
const run = (...argv: string[]) => cli.run(['usage', '--socket', cli.path('admin.sock'), ...argv])

describe('sealed usage', () => {
  it('is CSV by key and day', async () => {
    const { err, exit, out } = await run('--csv')
    expect([exit, err]).toEqual([0, ''])
    expect(out).toBe(
      [
        'day,key,requests,answered,aborted,input_bytes,output_bytes',
        '2026-11-26,laptop,4,3,1,30,3000',
        '2026-11-27,laptop,2,2,0,20,2000',
        '2026-11-27,site,16,12,4,120,12000',
        '',
      ].join('\r\n'),
    )
  })

  it('is of the days that were asked for, both among them', async () => {
    const daysOf = async (...argv: string[]) => {
      const { out } = await run('--json', ...argv)
      return JSON.parse(out).usage.map(
        ({ day, key }: { day: string; key: string }) => `${day} ${key}`,
      )
    }
    const [first, second, third] = ['2026-11-26 laptop', '2026-11-27 laptop', '2026-11-27 site']
    expect(await daysOf()).toEqual([first, second, third])
    expect(await daysOf('--since', '2026-11-27')).toEqual([second, third])
    expect(await daysOf('--until', '2026-11-26')).toEqual([first])
    expect(await daysOf('--since', '2026-11-26', '--until', '2026-11-27')).toHaveLength(3)
    for (const day of ['yesterday', '2026-1-1', '2026-11-27T00:00'])
      expect((await run('--since', day)).exit).toBe(2)
  })

  it('is a table for people', async () => {
    const { out } = await run()
    expect(out.split('\n')[1]).toMatch(/^2026-11-26 {2}laptop {2} +4 +3 +1 +30 +3000$/)
  })

  it('runs nothing in a spreadsheet, whatever a name is', async () => {
    usage = [row('2026-11-27', '=1+2', 1, 0), row('2026-11-27', 'a,"b"\n', 1, 0)]
    const { out } = await run('--csv')
    expect(out).toContain("\r\n2026-11-27,'=1+2,1")
    expect(out).toContain('\r\n2026-11-27,"a,""b""\n",1')
    usage = [row('2026-11-27', 'a\u001b[31m', 1, 0)]
    expect((await run()).out).not.toContain('\u001b')
  })

  it('says when no embassy answers', async () => {
    embassy.close()
    const { exit, err } = await cli.run(['usage', '--socket', cli.path('none.sock')])
    expect([exit, err]).toEqual([1, expect.stringContaining('none.sock')])
  })
})
