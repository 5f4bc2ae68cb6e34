// Every lie about what was booted and where, each with the one check that must see through it: the machine measures,
// logs and quotes what the test makes it say.
import { beforeAll, describe, expect, it } from 'vitest'
import { fromBase64url, toBase64url, utf8 } from '../bytes.ts'
import type { Image, Policy } from '../policy.ts'
import type { CheckId } from './checks.ts'
import {
  ACTION,
  APPLICATION,
  application,
  bootEvents,
  DRIVER,
  GPT,
  IPL,
  KERNEL,
  type LoggedEvent,
  NOTHING,
  SEPARATOR,
  UKI,
} from './test-log.ts'
import { type Case, failures, flip, Scene } from './test-scene.ts'
import { bootedImage, hexOf, type Lies, NOW } from './test-world.ts'
import { type Verdict, verifyDocument } from './verify-receipt.ts'

type Change = (events: LoggedEvent[]) => void
const EVIL = 'ee'.repeat(32)
const at = (events: LoggedEvent[], digest: string) =>
  events.findIndex(
    (event) =>
      event.type === APPLICATION && event.digest?.[0] === Number.parseInt(digest.slice(0, 2), 16),
  )
const booting =
  (...applications: LoggedEvent[]): Change =>
  (events) => {
    const rest = events.filter(({ type }) => type !== APPLICATION)
    events.splice(0, events.length, ...rest, ...applications)
  }
/** Firmware of TDX machines on GCE: what belongs into PCRs 4 and 5 after the separators goes into 2. */
const tdx: Change = (events) => {
  events.find(({ type }) => type === 17)!.data.set([3], 16)
  for (const event of events) if ([APPLICATION, GPT].includes(event.type)) event.pcr = 2
}

let scene: Scene
let image: Image
beforeAll(async () => {
  scene = await Scene.create()
  image = await bootedImage()
})

/** A machine that booted so, under reference values that fit it: only the applications can give it away. */
async function booted(change: Change, uki = [UKI, KERNEL]): Promise<Verdict> {
  const events = bootEvents()
  change(events)
  const images = [{ ...(await bootedImage(events)), uki }]
  return scene.judge(await scene.lie({ boot: change }, { images }))
}

describe('a boot', () => {
  it('is verified, with what it says of machine, image and place', async () => {
    const verdict = await scene.judge(await scene.lie({}))
    expect(verdict.outcome).toBe('verified')
    expect(verdict.claims).toMatchObject({
      firmware: { technology: 'sev-snp', version: 2 },
      image: { name: 'sealed', version: '1' },
      instance: { project: 'sealed-project', region: 'europe-west4', zone: 'europe-west4-a' },
    })
  })

  it.each<[string, Change]>([
    ['with its kernel measured', () => undefined],
    ['with Secure Boot, which measures no inner kernel', booting(application(UKI))],
    ['measured into PCR 2, as on TDX machines', tdx],
  ])('is verified %s', async (_, change) => {
    expect((await booted(change)).outcome).toBe('verified')
  })

  const hidden =
    (event: LoggedEvent): Change =>
    (events) =>
      void events.push(event)
  it.each<[string, Change]>([
    ['another application', booting(application(EVIL))],
    ['another application before the image', booting(application(EVIL), application(UKI))],
    ['another application after the image', booting(application(UKI), application(EVIL))],
    [
      'another application after the kernel',
      booting(application(UKI), application(KERNEL), application(EVIL)),
    ],
    ['another application in PCR 2', booting(application(UKI), application(EVIL, 2))],
    ['the kernel alone', booting(application(KERNEL))],
    ['the kernel first', booting(application(KERNEL), application(UKI))],
    ['the image twice', booting(application(UKI), application(UKI))],
    ['no application', booting()],
    ['no application in PCR 4 or 2', booting(application(UKI, 5))],
    ['an application under the type of a driver', hidden({ ...application(EVIL), type: DRIVER })],
    ['an application under the type of an action', hidden({ ...application(EVIL), type: ACTION })],
    ['an application under a type of no one', hidden({ ...application(EVIL), type: IPL })],
    [
      'an application whose bytes pass for an action',
      hidden({ pcr: 4, type: ACTION, data: utf8('MZ\u0090\0') }),
    ],
    [
      'an application whose bytes pass for partitions',
      hidden({ pcr: 2, type: GPT, data: utf8('MZ\u0090\0') }),
    ],
    [
      'an application whose bytes pass for a driver',
      hidden({ pcr: 2, type: DRIVER, data: utf8('EFI PART') }),
    ],
    [
      'partitions that are only said to be there',
      hidden({ pcr: 2, type: GPT, data: utf8('EFI PART'), digest: new Uint8Array(32).fill(0xee) }),
    ],
  ])('is seen to have started %s', async (_, change) => {
    const verdict = await booted(change)
    expect(failures(verdict)).toEqual(['document.boot_application'])
    expect(verdict.claims).not.toHaveProperty('image')
  })

  it('on a TDX machine is not known by PCR 4, which any image leaves as it is', async () => {
    const evil: Change = (events) => {
      booting(application(EVIL))(events)
      tdx(events)
    }
    const [mine, theirs] = [bootEvents(), bootEvents()]
    tdx(mine)
    evil(theirs)
    const pcr4 = (of: Image) => of.pcrs.find(({ index }) => index === 4)
    expect(pcr4(await bootedImage(mine))).toEqual(pcr4(await bootedImage(theirs)))
    expect(failures(await booted(evil))).toEqual(['document.boot_application'])
  })
})

const LIES: [lie: string, fails: CheckId[], lies: Lies][] = [
  [
    'a log of another boot',
    ['document.event_log'],
    { log: (events) => void events.push({ pcr: 5, type: ACTION, data: utf8('and more') }) },
  ],
  [
    'a log that leaves an event out',
    ['document.event_log'],
    { log: (events) => void events.pop() },
  ],
  [
    'a log whose events change places',
    ['document.event_log'],
    {
      log: (events) => {
        const [first, second] = [at(events, UKI), at(events, KERNEL)]
        ;[events[first], events[second]] = [events[second]!, events[first]!]
      },
    },
  ],
  [
    'a log that tells of the image, on a machine that booted another',
    ['document.pcr_reference', 'document.event_log'],
    { boot: booting(application(EVIL)), log: () => undefined },
  ],
  [
    'a log that is silent on what was measured into PCR 3',
    ['document.event_log'],
    { pcrs: (pcrs) => pcrs.set(3, new Uint8Array(32).fill(3)) },
  ],
  [
    'an extension of PCR 6 after the log',
    ['document.event_log'],
    { pcrs: (pcrs) => pcrs.set(6, new Uint8Array(32).fill(6)) },
  ],
  [
    'a log that speaks of PCR 14, which is ours',
    ['document.event_log'],
    { log: (events) => void events.push({ pcr: 14, type: IPL, data: utf8('MokList') }) },
  ],
  [
    'a log that speaks of PCR 8, which is ours',
    ['document.event_log'],
    { log: (events) => void events.push({ pcr: 8, type: IPL, data: utf8('grub') }) },
  ],
  [
    'a log that speaks of a PCR that was not quoted',
    ['document.event_log'],
    {
      boot: (events) => void events.push({ pcr: 10, type: IPL, data: utf8('ima') }),
      pcrs: (pcrs) => pcrs.delete(10),
    },
  ],
  ['PCR 1 left out of the quote', ['document.event_log'], { pcrs: (pcrs) => pcrs.delete(1) }],
  [
    'PCR 12 left out of the quote',
    ['document.pcr_reference', 'document.event_log'],
    { pcrs: (pcrs) => pcrs.delete(12) },
  ],
  [
    'a command line added by the boot loader (PCR 12)',
    ['document.pcr_reference'],
    { boot: (events) => void events.push({ pcr: 12, type: IPL, data: utf8('init=/bin/sh') }) },
  ],
  [
    'an extension to the image (PCR 13, which is ours alone)',
    ['document.pcr_launch', 'document.event_log'],
    { boot: (events) => void events.push({ pcr: 13, type: IPL, data: utf8('sysext') }) },
  ],
  [
    'another part of the image (PCR 11)',
    ['document.pcr_reference'],
    { boot: (events) => void events.push({ pcr: 11, type: IPL, data: utf8('.profile') }) },
  ],
  [
    'another initrd (PCR 9)',
    ['document.pcr_reference'],
    { boot: (events) => void events.push({ pcr: 9, type: IPL, data: utf8('initrd') }) },
  ],
  [
    'other firmware (PCR 0)',
    ['document.pcr_reference'],
    { boot: (events) => void events.push({ pcr: 0, type: IPL, data: utf8('firmware') }) },
  ],
  [
    'an event that passes a separator off as something else',
    ['document.event_log'],
    {
      boot: (events) =>
        (events.find(({ type, pcr }) => type === SEPARATOR && pcr === 3)!.type = IPL),
    },
  ],
  [
    'a separator that tells of an error',
    ['document.event_log'],
    {
      boot: (events) =>
        void events.push({ pcr: 3, type: SEPARATOR, data: Uint8Array.of(1, 0, 0, 0) }),
    },
  ],
  [
    'a log that is none',
    ['document.event_log'],
    { document: (d) => (d.event_log = toBase64url(NOTHING)) },
  ],
]

describe('a lie about the boot', () => {
  it('is a log that tells what we measured ourselves, though it leads to the quoted value', async () => {
    const own = scene.world.k
    const verdict = await scene.judge(
      await scene.lie({
        log: (events) => void events.push({ pcr: 14, type: IPL, data: utf8('K'), digest: own }),
      }),
    )
    expect(failures(verdict)).toEqual(['document.event_log'])
  })

  it.each(LIES)('%s fails %j', async (_, fails, lies) => {
    const verdict = await scene.judge(await scene.lie(lies))
    expect(failures(verdict)).toEqual(fails)
    expect(verdict.outcome).toBe('failed')
  })
})

describe('an image', () => {
  const judge = async (...images: Image[]) => scene.judge(await scene.lie({}, { images }))
  const row = (index: number, digest: string) => ({ digests: [digest], index })
  const withRow = (index: number, digest: string): Image => ({
    ...image,
    pcrs: [...image.pcrs.filter((r) => r.index !== index), row(index, digest)],
  })

  it('is one of several versions, and the verdict says which', async () => {
    const verdict = await judge({ ...withRow(11, hexOf(2)), version: '2' }, image)
    expect(verdict.outcome).toBe('verified')
    expect(verdict.claims.image).toEqual({ name: 'sealed', version: '1' })
  })

  it('is none that parts of two versions add up to', async () => {
    const verdict = await judge(withRow(11, hexOf(2)), withRow(9, hexOf(2)))
    expect(failures(verdict)).toEqual(['document.pcr_reference'])
    const other = { ...withRow(11, hexOf(2)), uki: [EVIL] }
    expect(failures(await judge(other, { ...image, uki: [KERNEL] }))).toEqual([
      'document.boot_application',
    ])
    // The fitting PCR values of one version do not lend it the applications of another.
    expect(failures(await judge({ ...image, uki: [EVIL] }, withRow(11, hexOf(2))))).toEqual([
      'document.boot_application',
    ])
  })

  it('may have several digests for a PCR', async () => {
    const pcrs = image.pcrs.map(({ digests, index }) => ({
      digests: [hexOf(9), ...digests],
      index,
    }))
    expect((await judge({ ...image, pcrs })).outcome).toBe('verified')
  })

  it('may have something in PCR 12 where its reference values say so', async () => {
    const boot: Change = (events) => void events.push({ pcr: 12, type: IPL, data: utf8('debug') })
    const events = bootEvents()
    boot(events)
    const { pcrs } = await bootedImage(events, [0, 4, 9, 11, 12])
    const images = [{ ...image, pcrs }]
    expect((await scene.judge(await scene.lie({ boot }, { images }))).outcome).toBe('verified')
    expect(failures(await scene.judge(await scene.lie({}, { images })))).toEqual([
      'document.pcr_reference',
    ])
  })
})

describe('nothing is verified', () => {
  const skips = async (id: CheckId, made: Case) => {
    const verdict = await scene.judge(made)
    expect(failures(verdict)).toEqual([])
    expect(verdict.outcome).toBe('incomplete')
    expect(verdict.checks.find((c) => c.id === id)).toMatchObject({
      required: true,
      result: 'skip',
    })
  }

  it('without a log, where the policy asks for one', async () => {
    const without: Lies = { document: (d) => delete d.event_log }
    await skips('document.event_log', await scene.lie(without))
    await skips('document.boot_application', await scene.lie(without))
    const verdict = await scene.judge(await scene.lie(without, { evidence: ['tpm'] }))
    expect(verdict.outcome).toBe('verified')
    expect(verdict.claims).not.toHaveProperty('image')
  })

  it('under a policy that names no image, or leaves parts of it open', async () => {
    await skips('document.pcr_reference', await scene.under({ images: [] }))
    for (const open of [9, 11]) {
      const pcrs = image.pcrs.filter(({ index }) => index !== open)
      await skips('document.pcr_reference', await scene.under({ images: [{ ...image, pcrs }] }))
    }
    const { uki: _, ...anything } = image
    await skips('document.boot_application', await scene.under({ images: [anything] }))
  })
})

describe('a bit flipped in a log', () => {
  it('fails, or changes nothing that is believed', async () => {
    const { document } = (await scene.lie({})).input
    const { claims } = await verifyDocument({ document }, scene.world.policy, NOW)
    const log = fromBase64url(document.event_log!)
    let seen = 0
    for (let bit = 0; bit < log.length * 8; bit += 101) {
      const told = { ...document, event_log: toBase64url(flip(log, bit)) }
      const verdict = await verifyDocument({ document: told }, scene.world.policy, NOW)
      if (verdict.outcome === 'verified') expect(verdict.claims).toEqual(claims)
      else seen++
      for (const id of failures(verdict))
        expect(['document.event_log', 'document.boot_application']).toContain(id)
    }
    expect(seen).toBeGreaterThan(50)
  })
})

describe('a log that nobody asked for', () => {
  it('is judged all the same', async () => {
    const verdict = await scene.judge(
      await scene.lie({ log: (events) => void events.pop() }, { evidence: ['tpm'] }),
    )
    expect(failures(verdict)).toEqual(['document.event_log'])
  })
})

describe('a place', () => {
  const under = async (instances: Policy['instances']) =>
    scene.judge(await scene.under({ instances } as Partial<Policy>))

  it('is verified where the policy names it', async () => {
    for (const instances of [
      {},
      { projects: ['other', 'sealed-project'] },
      { zones: ['europe-west4-a'] },
      { projects: ['sealed-project'], zones: ['europe-west4-a', 'europe-west4-b'] },
    ])
      expect((await under(instances)).outcome).toBe('verified')
  })

  it('fails where the policy names another', async () => {
    for (const instances of [
      { projects: ['other'] },
      { zones: ['europe-west4-b'] },
      { zones: ['europe-west4'] },
      { projects: ['sealed-project'], zones: ['europe-west4-b'] },
      { projects: ['other'], zones: ['europe-west4-a'] },
    ])
      expect(failures(await under(instances))).toEqual(['document.instance'])
  })
})
