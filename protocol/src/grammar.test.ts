// The order of statements, checked against the specification's grammar written down a second time as one regular
// expression, and the rules between members of different statements.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkGrammar } from './grammar.ts'
import type { Statement, StatementType } from './statement.ts'

const invalid = expect.objectContaining({ code: 'receipt.invalid' })
const digest = 'ab'.repeat(32)
const EPOCH = 'ef'.repeat(16)

/** One letter for each type of statement. */
const LETTERS = {
  q: 'request.received',
  s: 'seal.enforced',
  k: 'input_key.revealed',
  o: 'activations.observed',
  g: 'registry.applied',
  c: 'seal.checked',
  m: 'output.committed',
  u: 'seal.released',
  r: 'response.released',
  d: 'registry.read',
  x: 'session.aborted',
  j: 'seal.joined',
  e: 'seal.kept',
  n: 'seal.absent',
  t: 'tpm.absent',
} as const satisfies Record<string, StatementType>
type Letter = keyof typeof LETTERS
const LETTER_LIST = Object.keys(LETTERS) as Letter[]

/** SPEC.md, "Grammar", where `s` begins no epoch. */
const REFERENCE =
  /^q(?:t?dr|nt(?:x|k(?:x|o*(?:x|g(?:x|m(?:x|r)))))|s(?:x|k(?:x|o*(?:x|g(?:x|c(?:x|m(?:x|ur))))))|j(?:x|k(?:x|o*(?:x|g(?:x|c(?:x|m(?:x|er)))))))$/

const MEMBERS: { [L in Letter]: Record<string, unknown> } = {
  q: {
    caller: 'anonymous',
    door: 'envelope',
    endpoint: '/v1/completions',
    expect: { key_set: digest, metering: 'required', seal_policy: 'request', workload: digest },
    header_digest: digest,
    operation: 'update',
    transport_key: digest,
    workload: 'demo',
    workload_digest: digest,
  },
  s: { policy: 'request', sessions_overlapping: 0, tenants: 1 },
  k: { to: 'relay' },
  o: {},
  g: { operation: 'update' },
  c: {},
  m: {},
  u: {},
  r: { to: 'gateway' },
  d: {},
  x: { at: 'revealed', output_bytes: 0, reason: 'deadline' },
  j: { epoch: EPOCH, policy: 'epoch', read_mono_us: '0', sessions_overlapping: 2, tenants: 2 },
  e: { epoch: EPOCH, sessions_overlapping: 3, tenants: 2 },
  n: { reason: 'system' },
  t: {},
}

/** A session of these letters; a reading's request says so. */
function session(letters: string): Statement[] {
  const operation = letters.includes('d') ? 'read' : 'update'
  return [...letters].map((letter, seq) => {
    const members = MEMBERS[letter as Letter]
    return {
      type: LETTERS[letter as Letter],
      seq,
      utc_ms: 1000 + seq,
      mono_us: String(10 * seq),
      ...members,
      ...(letter === 'q' && { operation }),
    } as unknown as Statement
  })
}
const accepted = (letters: string): boolean => {
  try {
    checkGrammar(session(letters))
    return true
  } catch (error) {
    expect(error).toEqual(invalid)
    return false
  }
}

describe('the grammar', () => {
  it.each([
    'qskogcmur',
    'qskgcmur',
    'qskooogcmur',
    'qdr',
    'qsx',
    'qskx',
    'qskox',
    'qskogx',
    'qskogcx',
    'qskogcmx',
    'qskgx',
    'qjkogcmer',
    'qjkgcmer',
    'qjx',
    'qjkx',
    'qjkogcmx',
    'qntkogmr',
    'qntkgmr',
    'qntx',
    'qntkx',
    'qntkogmx',
    'qtdr',
  ])('has %s', (letters) => {
    expect(REFERENCE.test(letters)).toBe(true)
    expect(accepted(letters)).toBe(true)
  })

  it('has exactly the sequences of up to four statements that the specification has', () => {
    let level = ['']
    let legal = 0
    for (let length = 1; length <= 4; length++) {
      level = level.flatMap((start) => LETTER_LIST.map((letter) => start + letter))
      for (const letters of level) {
        expect(accepted(letters), letters).toBe(REFERENCE.test(letters))
        if (REFERENCE.test(letters)) legal++
      }
    }
    expect(legal).toBe(7)
  })

  it('agrees with the specification on any sequence', () => {
    const legal = fc.constantFrom(
      'qntkogmr',
      'qjkogcmer',
      'qskogcmur',
      'qskoogcmur',
      'qskgcmur',
      'qdr',
      'qskogcmx',
      'qskx',
    )
    const edit = fc.tuple(fc.nat(10), fc.constantFrom<(Letter | '')[]>(...LETTER_LIST, ''))
    const edited = fc.tuple(legal, fc.array(edit, { maxLength: 3 })).map(([letters, edits]) => {
      let text: string = letters
      for (const [at, letter] of edits) text = text.slice(0, at) + letter + text.slice(at + 1)
      return text
    })
    const random = fc
      .array(fc.constantFrom(...LETTER_LIST), { maxLength: 12 })
      .map((a) => a.join(''))
    fc.assert(
      fc.property(fc.oneof(edited, random), (letters) => {
        expect(accepted(letters), letters).toBe(REFERENCE.test(letters))
      }),
      { numRuns: 3000 },
    )
  })

  it('has no legal session with a statement left out, doubled or swapped with the next', () => {
    for (const letters of ['qskogcmur', 'qjkogcmer', 'qdr']) {
      for (let i = 0; i < letters.length; i++) {
        const [before, here, after] = [letters.slice(0, i), letters[i]!, letters.slice(i + 1)]
        if (here !== 'o') {
          expect(accepted(before + after)).toBe(false)
          expect(accepted(before + here + here + after)).toBe(false)
        }
        if (after) expect(accepted(before + after[0] + here + after.slice(1))).toBe(false)
      }
    }
  })

  it('does not have an empty session', () => {
    expect(() => checkGrammar([])).toThrow(invalid)
  })
})

describe('a session', () => {
  const change = (edit: (statements: Statement[]) => void, letters = 'qskogcmur') => {
    const statements = session(letters)
    edit(statements)
    return () => checkGrammar(statements)
  }

  it('is numbered from 0 without gaps', () => {
    const fromOne = (all: Statement[]) => {
      for (const s of all) s.seq += 1
    }
    expect(change(fromOne)).toThrow(/numbered/)
    expect(change((all) => (all[4]!.seq = 3))).toThrow(/numbered/)
    expect(change((all) => (all[8]!.seq = 9))).toThrow(/numbered/)
  })

  it('never goes back in time', () => {
    expect(change((all) => (all[3]!.mono_us = '19'))).toThrow(/earlier/)
    expect(change((all) => (all[8]!.mono_us = '69'))).toThrow(/earlier/)
    expect(change((all) => (all[3]!.mono_us = '20'))).not.toThrow()
    expect(change((all) => (all[3]!.utc_ms = 1001))).toThrow(/earlier/)
    expect(change((all) => (all[3]!.utc_ms = 1002))).not.toThrow()
    const long = (all: Statement[]) => {
      for (const [i, s] of all.entries()) s.mono_us = String(18446744073709551600n + BigInt(i))
    }
    expect(change(long)).not.toThrow()
    expect(change((all) => long(all.toReversed()))).toThrow(/earlier/)
  })

  type Received = Extract<Statement, { type: 'request.received' }>
  const received = (all: Statement[]) => all[0] as Received

  it('by the envelope door has header digest, expectations and transport key, and no input digest', () => {
    for (const member of ['header_digest', 'expect', 'transport_key'] as const)
      expect(change((all) => delete received(all)[member])).toThrow(invalid)
    expect(change((all) => (received(all).input_digest = digest))).toThrow(invalid)
  })

  it('by the plain door has an input digest and nothing of an envelope', () => {
    const plain = (edit: (r: Received) => void = () => {}) =>
      change((all) => {
        const r = received(all)
        r.door = 'plain'
        r.input_digest = digest
        for (const member of ['header_digest', 'expect', 'transport_key'] as const) delete r[member]
        edit(r)
      })
    const { expect: expectations } = received(session('q'))
    expect(plain()).not.toThrow()
    expect(plain((r) => delete r.input_digest)).toThrow(invalid)
    expect(plain((r) => (r.header_digest = digest))).toThrow(invalid)
    expect(plain((r) => (r.transport_key = digest))).toThrow(invalid)
    expect(plain((r) => (r.expect = expectations!))).toThrow(invalid)
  })

  it('reads where it says so, and only there', () => {
    expect(change((all) => (received(all).operation = 'update'), 'qdr')).toThrow(/operation/)
    expect(change((all) => (received(all).operation = 'read'))).toThrow(/operation/)
    expect(change((all) => (received(all).operation = 'read'), 'qsx')).toThrow(/operation/)
  })

  it('applies the operation that was asked for', () => {
    const write = (all: Statement[]) => (received(all).operation = 'write')
    expect(change(write)).toThrow(/registry.applied/)
    expect(change((all) => Object.assign(all[4]!, { operation: 'write' }))).toThrow(/registry/)
    expect(
      change((all) => {
        write(all)
        Object.assign(all[4]!, { operation: 'write' })
      }),
    ).not.toThrow()
    expect(change(write, 'qsx')).not.toThrow()
  })

  type Seal = Extract<Statement, { type: 'seal.enforced' | 'seal.joined' }>
  const sealed = (all: Statement[]) => all[1] as Seal
  const kept = (all: Statement[]) => all.at(-2) as Extract<Statement, { type: 'seal.kept' }>
  const epoch = (edit: (all: Statement[]) => void) => change(edit, 'qjkogcmer')
  const began = (edit: (all: Statement[]) => void = () => {}) =>
    change((all) => {
      Object.assign(all[1]!, { policy: 'epoch', epoch: EPOCH })
      edit(all)
    }, 'qskogcmer')

  it('of an epoch keeps the one that it began or joined', () => {
    expect(began()).not.toThrow()
    expect(began((all) => (kept(all).epoch = '00'.repeat(16)))).toThrow(/another epoch/)
    expect(epoch((all) => (kept(all).epoch = '00'.repeat(16)))).toThrow(/another epoch/)
    expect(began((all) => delete sealed(all).epoch)).toThrow(/under the policies that have one/)
    expect(began((all) => (sealed(all).policy = 'request'))).toThrow(
      /under the policies that have one/,
    )
    expect(change((all) => Object.assign(all[1]!, { epoch: EPOCH }))).toThrow(
      /under the policies that have one/,
    )
    const released = (all: Statement[]) => Object.assign(all[1]!, { policy: 'epoch', epoch: EPOCH })
    expect(change(released)).toThrow(/releases nothing/)
    expect(change(() => {}, 'qskogcmer')).toThrow(/another epoch/)
  })

  it('of an epoch counts no fewer at its end than at its beginning', () => {
    expect(epoch((all) => (kept(all).sessions_overlapping = 2))).not.toThrow()
    expect(epoch((all) => (kept(all).sessions_overlapping = 1))).toThrow(/fewer/)
    expect(epoch((all) => (kept(all).tenants = 1))).toThrow(/fewer/)
  })

  it('joins on a reading that is not later', () => {
    const at = (us: string) => epoch((all) => Object.assign(all[1]!, { read_mono_us: us }))
    expect(at('10')).not.toThrow()
    expect(at('11')).toThrow(/read after/)
  })
})
