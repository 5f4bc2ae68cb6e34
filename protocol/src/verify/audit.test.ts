// Audits: a log that only grew is proven to, through reboots too, and every other one is named for what it is.
import { beforeAll, describe, expect, it } from 'vitest'
import { toHex, utf8 } from '../bytes.ts'
import { canonicalBytes } from '../json.ts'
import { leafHash } from '../merkle.ts'
import { auditLog } from './audit.ts'
import { createLog, relaid, serveLogs, type TestLog } from './test-tlog.ts'
import { createWitness } from './test-witness.ts'

const failing = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) })
const fork = (message: RegExp) => failing('log.fork', message)

let first: TestLog
let second: TestLog
let third: TestLog
let all: TestLog[]
beforeAll(async () => {
  first = await createLog(20)
  second = await createLog(4, { log: first, note: await first.note(21) })
  third = await createLog(299, { log: second, note: await second.note(5) })
  all = [first, second, third]
})

describe('a log that only grew', () => {
  it('is proven to, from every size of the same boot', async () => {
    for (const size of [1, 2, 13, 20, 21]) {
      const audit = await auditLog(serveLogs(all), await first.note(size), first)
      expect(audit).toMatchObject({
        saved: { size },
        newest: { size: 21 },
        logs: [first.origin],
        savedSignature: 'verified',
      })
    }
    for (const size of [0, 1, 255, 256, 257, 300])
      expect((await auditLog(serveLogs(all), await third.note(size), third)).newest.size).toBe(300)
  })

  it('is followed back through reboots', async () => {
    for (const size of [1, 20, 21]) {
      const audit = await auditLog(serveLogs(all), await first.note(size), third)
      expect(audit.logs).toEqual([third.origin, second.origin, first.origin])
      expect(audit).toMatchObject({ savedSignature: 'unchecked', newest: { size: 300 } })
    }
  })

  it('may show cosignatures, and gives them back for the next audit', async () => {
    const witness = await createWitness('witness.example/one')
    const cosigned = serveLogs(all, {
      checkpoint: async (_, note) =>
        note + (await witness.cosign(note.slice(0, note.indexOf('\n\n') + 1))),
    })
    const audit = await auditLog(cosigned, await first.note(3), third, [witness.key])
    expect(audit.witnesses).toEqual([witness.key.name])
    const again = await auditLog(cosigned, audit.note, third, [witness.key])
    expect(again.saved.size).toBe(300)
    const other = await createWitness('witness.example/one')
    expect((await auditLog(cosigned, audit.note, third, [other.key])).witnesses).toEqual([])
  })
})

describe('a log that did not only grow', () => {
  it('is named a fork where two have one beginning', async () => {
    const saved = await first.note(15)
    const source = serveLogs([relaid(first, first.leaves.with(9, utf8('another')))])
    await expect(auditLog(source, saved, first)).rejects.toThrow(
      fork(/another log than the one kept at 15/),
    )
    expect((await auditLog(source, await first.note(9), first)).newest.size).toBe(21)
  })

  it('is named a fork where two have one size', async () => {
    const source = serveLogs([relaid(first, first.leaves.with(20, utf8('another')))])
    await expect(auditLog(source, await first.note(21), first)).rejects.toThrow(fork(/another log/))
  })

  it('is named a fork where leaves changed places', async () => {
    const [a, b] = [first.leaves[3]!, first.leaves[4]!]
    const source = serveLogs([relaid(first, first.leaves.with(3, b).with(4, a))])
    await expect(auditLog(source, await first.note(4), first)).rejects.toThrow(fork(/another log/))
    await expect(auditLog(source, await first.note(21), first)).rejects.toThrow(fork(/another log/))
  })

  it('is named cut short where it is smaller than what was kept', async () => {
    const source = serveLogs([relaid(first, first.leaves.slice(0, 12))])
    await expect(auditLog(source, await first.note(13), first)).rejects.toThrow(
      fork(/cut short: 13 leaves were kept/),
    )
  })

  it('is named set back where its counter fell', async () => {
    const source = serveLogs(all, { checkpoint: () => first.note(21, { counter: 5n }) })
    await expect(auditLog(source, await first.note(13), first)).rejects.toThrow(
      fork(/counter .* is 5, and 113 was kept/),
    )
  })

  it('is named set back where its counter did not rise with its size', async () => {
    const still = serveLogs(all, { checkpoint: () => first.note(21, { counter: 113n }) })
    await expect(auditLog(still, await first.note(13), first)).rejects.toThrow(
      fork(/counter .* is 113, and 113 was kept/),
    )
    const same = await auditLog(still, await first.note(21, { counter: 113n }), first)
    expect(same.newest.counter).toBe(113n)
  })
})

describe('a new boot', () => {
  it('that continues no log is a fork', async () => {
    const alone = await createLog(3)
    const source = serveLogs([...all, alone])
    await expect(auditLog(source, await first.note(3), alone)).rejects.toThrow(
      fork(/continues no other log/),
    )
  })

  it('whose log before it is not the one that it names is a fork', async () => {
    const other = relaid(first, first.leaves.with(9, utf8('another')))
    const shown = auditLog(serveLogs([other, second, third]), await other.note(15), third)
    await expect(shown).rejects.toThrow(failing('log.damaged', /not those of the checkpoint/))
    await expect(auditLog(serveLogs(all), await other.note(15), third)).rejects.toThrow(
      fork(/another log than the one kept at 15/),
    )
  })

  it('whose first leaf is not in its log, or of another key set, is a fork', async () => {
    const other = serveLogs(all, { boot: () => first.leaves[0]! })
    await expect(auditLog(other, await first.note(3), second)).rejects.toThrow(fork(/is not in it/))
    const source = serveLogs([first, second, relaid(third, second.leaves)])
    await expect(auditLog(source, await first.note(3), third)).rejects.toThrow(
      fork(/another key set/),
    )
  })

  it('that names an end before what was kept cuts the log short', async () => {
    const short = relaid(first, first.leaves.slice(0, 15))
    const cut = await createLog(0, { log: short, note: await first.note(15) })
    const shown = auditLog(serveLogs([first, cut]), await first.note(16), cut)
    await expect(shown).rejects.toThrow(fork(/cut short: 16 leaves were kept/))
  })

  it('whose log before it lost its last checkpoint, and no leaf, is followed all the same', async () => {
    const source = serveLogs(all, {
      checkpoint: (origin, note) => (origin === first.origin ? first.note(2) : note),
    })
    expect((await auditLog(source, await first.note(21), second)).logs).toHaveLength(2)
  })
})

describe('a way back', () => {
  it('goes through 1,000 logs and no more', async () => {
    const earlier: TestLog[] = []
    let previous:
      | { checkpoint_digest: string; origin: string; root: string; size: number }
      | undefined
    for (let i = 0; i < 1_000; i++) {
      const key_set = i.toString(16).padStart(16, '0').padEnd(64, '0')
      const origin = `sealed/${key_set.slice(0, 16)}`
      const of = { key_set, kind: 'boot', ...(previous && { previous }), started_ms: 1, version: 1 }
      const leaf = canonicalBytes(of)
      earlier.push({ ...first, origin, leaves: [leaf] })
      const root = toHex(await leafHash(leaf))
      previous = { checkpoint_digest: '00'.repeat(32), origin, root, size: 1 }
    }
    const today = await createLog(0, { log: earlier.at(-1)!, note: '' })
    const kept = async (log: TestLog) =>
      today.note(1, { origin: log.origin, root: await leafHash(log.leaves[0]!) })
    const source = serveLogs([...earlier, today])
    const audit = await auditLog(source, await kept(earlier[1]!), today)
    expect(audit.logs).toHaveLength(1_000)
    await expect(auditLog(source, await kept(earlier[0]!), today)).rejects.toThrow(
      fork(/the way back .* does not end/),
    )
  })
})

describe('what a source shows', () => {
  it('must be signed by the attested key, under its own origin', async () => {
    const wrong = { ...first, ledgerKey: second.ledgerKey }
    await expect(auditLog(serveLogs(all), await second.note(3), wrong)).rejects.toThrow()
    const foreign = serveLogs(all, { checkpoint: () => second.note(5) })
    await expect(auditLog(foreign, await first.note(3), first)).rejects.toThrow()
    const misled = { origin: first.origin, ledgerKey: second.ledgerKey }
    await expect(auditLog(foreign, await first.note(3), misled)).rejects.toThrow()
  })

  it('must hash to its checkpoint: altered tiles are damage, not a fork', async () => {
    for (const bent of ['tile/0/000', 'tile/0/001.p/44', 'tile/1/000.p/1']) {
      const source = serveLogs(all, {
        tile: (path, bytes) =>
          path === bent ? bytes.map((byte, i) => (i === 7 ? byte ^ 1 : byte)) : bytes,
      })
      await expect(auditLog(source, await third.note(7), third), bent).rejects.toThrow(
        failing('log.damaged', /tile/),
      )
    }
  })

  it('may be gone', async () => {
    await expect(auditLog(serveLogs([second, third]), await first.note(3), third)).rejects.toThrow(
      `no log ${first.origin}`,
    )
  })
})

describe('a checkpoint that was kept', () => {
  it('is refused when it was altered', async () => {
    const note = await first.note(13)
    for (const altered of [
      note.replace('\n13\n', '\n12\n'),
      note.replace('counter', 'Counter'),
      '',
      'x',
    ])
      await expect(auditLog(serveLogs(all), altered, first)).rejects.toThrow(
        expect.objectContaining({ code: 'receipt.invalid' }),
      )
  })

  it('of an earlier boot that was altered is not in that boot’s log', async () => {
    const altered = (await first.note(13)).replace('\n13\n', '\n12\n')
    await expect(auditLog(serveLogs(all), altered, third)).rejects.toThrow(fork(/another log/))
  })
})
