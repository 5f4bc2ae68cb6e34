// The event log of a TD: its replay leads to the RTMRs of the signed quote, all four of them, or the check fails.
import { beforeAll, describe, expect, it } from 'vitest'
import { type Bytes, concat, utf8 } from '../bytes.ts'
import { MAX_EVENT_LOG } from '../event-log.ts'
import { replayCcel, unpaddedCcel } from '../tee/ccel.ts'
import { APPLICATION, IPL, type LoggedEvent, logBytes, NO_ACTION, SEPARATOR } from './test-log.ts'
import { failures } from './test-scene.ts'
import { entry, TEE, TeeScene } from './test-tee-scene.ts'

let scene: TeeScene
beforeAll(async () => {
  scene = await TeeScene.create()
})

const at = (pcr: number, type: number): LoggedEvent => ({ pcr, type, data: utf8('what was done') })
const EVENTS = [
  { pcr: 1, type: NO_ACTION, data: utf8('a remark') },
  at(1, SEPARATOR),
  at(2, APPLICATION),
  at(2, SEPARATOR),
  at(3, IPL),
  at(3, IPL),
]
const FORM = { algorithms: [[12, 48]] as [number, number][], pcr: 1 }
const ccel = (events = EVENTS, header = {}) => logBytes(events, { ...FORM, ...header })

/** RTMRs after such a boot: every digest in these logs is 48 bytes of 07. */
async function measured(events = EVENTS): Promise<Bytes[]> {
  const rtmrs: Bytes[] = [0, 1, 2, 3].map(() => new Uint8Array(48))
  for (const { pcr, type } of events) {
    if (type === NO_ACTION) continue
    const extended = concat(rtmrs[pcr - 1]!, new Uint8Array(48).fill(7))
    rtmrs[pcr - 1] = new Uint8Array(await crypto.subtle.digest('SHA-384', extended))
  }
  return rtmrs
}
const judged = async (eventLog: Bytes, rtmrs?: Bytes[]) =>
  scene.tdx({ eventLog, rtmrs: rtmrs ?? (await measured()) })

describe('the event log of a TD', () => {
  it('leads to the RTMRs', async () => {
    const verdict = await judged(await ccel())
    expect(failures(verdict)).toEqual([])
    expect(entry(verdict, TEE.eventLog)).toMatchObject({
      result: 'pass',
      reason: '5 events lead to RTMR0 to 3',
    })
  })

  it('may hold digests of other banks', async () => {
    const algorithms = [
      [11, 32],
      [12, 48],
    ]
    expect(failures(await judged(await ccel(EVENTS, { algorithms })))).toEqual([])
  })

  it.each([
    ['an event left out', EVENTS.slice(0, -1)],
    ['an event more', [...EVENTS, at(3, IPL)]],
    ['an event of another register', EVENTS.with(-1, at(2, IPL))],
    ['an event of a register that was never extended', [...EVENTS, at(4, IPL)]],
    ['no event', []],
  ])('with %s fails', async (_lie, events) => {
    expect(failures(await judged(await ccel(events)))).toEqual([TEE.eventLog])
  })

  it('that is silent on RTMR3, which was extended, fails', async () => {
    const rtmrs = (await measured()).with(3, new Uint8Array(48).fill(1))
    const verdict = await judged(await ccel(), rtmrs)
    expect(failures(verdict)).toEqual([TEE.eventLog])
    expect(entry(verdict, TEE.eventLog).reason).toContain('RTMR3')
  })

  it.each([
    ['MRTD', () => ccel([...EVENTS, at(0, IPL)])],
    ['a sixth register', () => ccel([...EVENTS, at(5, IPL)])],
    ['a remark on one', () => ccel([...EVENTS, at(5, NO_ACTION)])],
    ['a remark on MRTD', () => ccel([...EVENTS, at(0, NO_ACTION)])],
    ['PCRs', () => ccel(EVENTS, { pcr: 0 })],
    ['SHA-256 alone', () => ccel(EVENTS, { algorithms: [[11, 32]] })],
    [
      'more bytes than any log has',
      () => ccel([{ ...at(1, IPL), data: new Uint8Array(MAX_EVENT_LOG) }]),
    ],
    ['more events than any log has', () => ccel(Array(2049).fill(at(1, IPL)))],
    ['half an event', async () => (await ccel()).slice(0, -1)],
    ['its padding', async () => concat(await ccel(), new Uint8Array(8).fill(0xff))],
    ['nothing', async () => new Uint8Array(0)],
  ])('of %s is refused', async (_form, log) => {
    const invalid = expect.objectContaining({ code: 'evidence.invalid' })
    await expect(log().then(replayCcel)).rejects.toThrow(invalid)
  })

  it('whose remark has a digest is refused', async () => {
    const log = await ccel(EVENTS.slice(0, 1))
    const remark = log.length - utf8('a remark').length - 4 - 1
    log[remark] = 1
    await expect(replayCcel(log)).rejects.toThrow('extends nothing has a digest')
  })

  it('is cut out of its table, padded or not', async () => {
    const log = await ccel([...EVENTS, { ...at(3, IPL), data: Uint8Array.of(1, 0xff, 0xff) }])
    expect(unpaddedCcel(log)).toEqual(log)
    expect(unpaddedCcel(concat(log, new Uint8Array(5000).fill(0xff)))).toEqual(log)
    for (const rest of [Uint8Array.of(0), Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0)])
      expect(() => unpaddedCcel(concat(log, rest))).toThrow(
        expect.objectContaining({ code: 'evidence.invalid' }),
      )
  })
})
