// The seal on nftables: one table pair and one veth pair a replica, one `nft -i` for all that happens between them.
// It never reports a state that it has not just read from the kernel, and never opens what it cannot verify.
import { SealedError } from '@sealed/protocol'
import { linkAddresses, REPLICAS } from './addresses.ts'
import { Firewall, notStarted } from './firewall.ts'
import { allowForwarding, withdrawForwarding } from './forwarding.ts'
import type { LinkSpec, ProbeReport, ReplicaLink, Seal, SealReading } from './link.ts'
import { canonical, isOpen, type Listing, lasting, packetsOf, refusals } from './listing.ts'
import { chooseProbes, judge, type ProbeOptions, runProbes, type Witness } from './probe.ts'
import { FAMILIES, type Ruleset, ruleset, tableName } from './ruleset.ts'
import { createTools, type Tools } from './tools.ts'
import {
  claimBlock,
  claimTable,
  createPair,
  deleteTables,
  devicesOf,
  raisePair,
  removeDevice,
  tablesOf,
} from './veth.ts'
import type { Heard } from './watch.ts'

export interface SealOptions {
  /** Instance id, four lower-case hex digits. */
  readonly id: string
  readonly relayPorts: readonly [number, number]
  readonly embassyPort: number
  /** The user that the relay runs as: no other may open a connection to a workload. Undefined allows all. */
  readonly relayUid?: number
  readonly probes: ProbeOptions
  /** Path of the network namespace that holds the host ends; this process's own when undefined. */
  readonly namespace?: string
  /** The longest wait for one answer of nft. */
  readonly timeoutMs?: number
}

export const createSeal = (options: SealOptions): Seal => new NftSeal(options)

interface Attached {
  readonly link: ReplicaLink
  readonly rules: Ruleset
  /** How nft lists the rules since their text was found to be the one that was loaded. */
  loaded: string
  /** What had been heard of the firewall when all rules were last read back. */
  heard: Heard
  /** As last read back, or as a release has made it since. */
  sealed: boolean
}

class NftSeal implements Seal {
  readonly #options: SealOptions
  readonly #tools: Tools
  readonly #links = new Map<string, Attached>()
  #firewall: Firewall | undefined
  #block = 0

  constructor(options: SealOptions) {
    if (!/^[0-9a-f]{4}$/.test(options.id))
      throw new SealedError('config.invalid', `instance id ${options.id} is not four hex digits`)
    this.#options = options
    this.#tools = createTools(options.namespace)
  }

  async start(): Promise<void> {
    if (this.#firewall) throw new SealedError('seal.failed', 'the seal was started before')
    await this.#sweep()
    this.#block = await claimBlock(this.#tools, this.#options.id)
    await this.#open()
  }

  async attach(pid: number, spec: LinkSpec): Promise<ReplicaLink> {
    const { id, relayPorts, embassyPort } = this.#options
    if (!Number.isInteger(spec.replica) || spec.replica < 0 || spec.replica >= REPLICAS)
      throw new SealedError('config.invalid', `replica ${spec.replica} is not below ${REPLICAS}`)
    const addresses = linkAddresses(id, this.#block, spec.replica)
    if (this.#links.has(addresses.device))
      throw new SealedError('seal.failed', `replica ${spec.replica} is attached; detach it first`)
    const link: ReplicaLink = { ...spec, ...addresses, relayPorts, embassyPort }
    const rules = ruleset(link, this.#options)
    await createPair(this.#tools, pid, link)
    try {
      await this.#tools.here(['nft', '-f', '-'], rules.text)
      this.#links.set(link.device, { link, rules, loaded: '', heard: UNHEARD, sealed: false })
      // Before the link is up: what is not provably sealed carries no frame.
      await this.#verifyLoaded(link)
      await allowForwarding(this.#tools, id, link.egress)
      await raisePair(this.#tools, pid, link)
    } catch (error) {
      await this.detach(link)
      throw error
    }
    return link
  }

  async detach(link: ReplicaLink): Promise<void> {
    const { id } = this.#options
    this.#links.delete(link.device)
    // The link first: without it the rules guard nothing. It is gone already when its namespace is.
    if ((await devicesOf(this.#tools, id)).includes(link.device))
      await removeDevice(this.#tools, link.device).catch(async (error) => {
        if ((await devicesOf(this.#tools, id)).includes(link.device)) throw error
      })
    const own = tableName(id, link.replica)
    const tables = await tablesOf(this.#tools, id)
    await deleteTables(
      this.#tools,
      tables.filter((table) => FAMILIES.some((family) => table === `${family} ${own}`)),
    )
  }

  async seal(link: ReplicaLink): Promise<SealReading> {
    const attached = this.#attached(link)
    const { table } = attached.rules
    // What has no destinations has nothing to open: the set then decides about no packet, and is not read.
    const opens = link.egress.length > 0
    const change = opens ? [`flush set inet ${table} open`] : []
    const sets = opens ? ['refused', 'open'] : ['refused']
    const lists = sets.map((set) => `list set inet ${table} ${set}`)
    const [refused, open] = await this.#running.request([...change, ...lists], lists.length)
    attached.sealed = open === undefined || !isOpen(open)
    if (!attached.sealed)
      throw new SealedError('seal.failed', `${link.device} is still open after it was sealed`)
    return reading(attached, refused!)
  }

  async check(link: ReplicaLink): Promise<SealReading> {
    const attached = this.#attached(link)
    const { table } = attached.rules
    const { listings, heard } = await this.#running.fenced(
      [`list set inet ${table} refused`],
      1,
      table,
    )
    if (heard.touched !== attached.heard.touched) throw changed(link)
    // Somebody changed something else: what it did to us, if anything, only the whole list tells.
    if (heard.others !== attached.heard.others) return this.verify(link)
    return reading(attached, listings[0]!)
  }

  async verify(link: ReplicaLink): Promise<SealReading> {
    const attached = this.#attached(link)
    return reading(attached, await this.#list(attached))
  }

  async release(link: ReplicaLink): Promise<void> {
    // With nothing to open the replica stays sealed.
    if (link.egress.length === 0) return
    const attached = this.#attached(link)
    const { table } = attached.rules
    const change = `add element inet ${table} open { "${link.device}" }`
    attached.sealed = false
    const [open] = await this.#running.request([change, `list set inet ${table} open`], 1)
    if (!isOpen(open!))
      throw new SealedError('seal.failed', `${link.device} is not open after it was released`)
  }

  async probe(link: ReplicaLink, pid: number): Promise<ProbeReport> {
    const siblings = [...this.#links.values()].map((other) => other.link)
    const probes = chooseProbes(
      link,
      siblings.filter(({ device }) => device !== link.device),
      this.#options.probes,
    )
    const before = await this.#witness(link)
    const from = performance.now()
    const answers = await runProbes(this.#tools, pid, probes, this.#options.probes.busybox)
    const took = Math.round(performance.now() - from)
    return judge(probes, answers, before, await this.#witness(link), took)
  }

  async recover(): Promise<ReplicaLink[]> {
    await this.#firewall?.close()
    await this.#open()
    const breached: ReplicaLink[] = []
    for (const attached of this.#links.values()) {
      const { link, rules } = attached
      // Nothing of what the last watch had heard is of use to the new one: all rules are read at the next check.
      attached.heard = UNHEARD
      if (!(await this.#isAsLoaded(rules))) breached.push(link)
    }
    return breached
  }

  async stop(): Promise<void> {
    await this.#firewall?.close()
    this.#firewall = undefined
    this.#links.clear()
    await this.#sweep()
  }

  async #open(): Promise<void> {
    const { id, namespace, timeoutMs = 2_000 } = this.#options
    this.#firewall = await Firewall.open({
      namespace,
      timeoutMs,
      prefix: `sealed_${id}_`,
      fences: claimTable(this.#block),
    })
  }

  /** Links before tables: a link without its rules would be open. */
  async #sweep(): Promise<void> {
    const { id } = this.#options
    for (const device of await devicesOf(this.#tools, id)) await removeDevice(this.#tools, device)
    await deleteTables(this.#tools, await tablesOf(this.#tools, id))
    await withdrawForwarding(this.#tools, id)
  }

  #attached(link: ReplicaLink): Attached {
    const known = this.#links.get(link.device)
    if (known?.link.generation !== link.generation)
      throw new SealedError('seal.failed', `${link.device} is not attached in this generation`)
    return known
  }

  get #running(): Firewall {
    if (!this.#firewall) throw notStarted()
    return this.#firewall
  }

  /** Both tables whole, in the order of `FAMILIES`, and what had been heard before they were listed. */
  async #tables({ table }: Ruleset): Promise<{ listings: Listing[]; heard: Heard }> {
    const lines = FAMILIES.map((family) => `list table ${family} ${table}`)
    return this.#running.fenced(lines, lines.length, table)
  }

  /** The table that decides, after both were found to be what was loaded. */
  async #list(attached: Attached): Promise<Listing> {
    const { listings, heard } = await this.#tables(attached.rules)
    if (lasting(listings) !== attached.loaded) throw changed(attached.link)
    attached.heard = heard
    const inet = listings.at(-1)!
    attached.sealed = !isOpen(inet)
    return inet
  }

  /** Whether the rules read, word for word, as the text that was loaded. */
  async #isAsLoaded({ table, text }: Ruleset): Promise<boolean> {
    // By processes of their own: a table that is gone would end the one that lives on.
    const texts = FAMILIES.map((family) =>
      this.#tools.here(['nft', 'list', 'table', family, table]).catch(() => ''),
    )
    return canonical((await Promise.all(texts)).join('')) === canonical(text)
  }

  /** Compares the text once; from then on what nft lists in JSON, which is faster read, is compared with itself. */
  async #verifyLoaded(link: ReplicaLink): Promise<void> {
    const attached = this.#attached(link)
    const before = await this.#tables(attached.rules)
    if (!(await this.#isAsLoaded(attached.rules))) {
      const version = (await this.#tools.here(['nft', '--version'])).trim()
      throw new SealedError(
        'seal.failed',
        `${version} lists rules in a form that is not known here; use a version between 1.0.6 and 1.1`,
      )
    }
    attached.loaded = lasting(before.listings)
    await this.#list(attached)
    // So both readings were of the same rules.
    if (attached.heard.touched !== before.heard.touched) throw changed(link)
  }

  async #witness(link: ReplicaLink): Promise<Witness> {
    const listing = await this.#list(this.#attached(link))
    if (isOpen(listing))
      throw new SealedError('seal.failed', `${link.device} is open; seal it before probing`)
    return { leaked: packetsOf(listing, 'leaked'), rejected: refusals(listing).rejected }
  }
}

/** Before anything was heard: no count of changes equals it, so that the rules are read in whole first. */
const UNHEARD: Heard = { others: -1, touched: 0 }

function reading({ rules, sealed }: Attached, listing: Listing): SealReading {
  const { dropped, rejected } = refusals(listing)
  return {
    ruleset_digest: rules.digest,
    dropped_packets: dropped,
    rejected_packets: rejected,
    sealed,
  }
}

const changed = (link: ReplicaLink): SealedError =>
  new SealedError(
    'seal.breached',
    `the rules of ${link.device} are not those that were loaded, or were changed since; retire the replica`,
  )
