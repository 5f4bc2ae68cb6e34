// The cells of the escape matrix and how one round over them is played. A cell delivers when its token is seen by
// any party whatever: who got it does not matter.
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Agent, Kind, Send, Version } from './agent.ts'
import { FAR, PORT, type Stage } from './escape-world.ts'

export type Target = 'resolver' | 'metadata' | 'host' | 'sibling' | 'outside'

export interface Cell {
  /** Such as `before tcp 4 out resolver`. */
  readonly name: string
  readonly sender: (stage: Stage) => Agent
  readonly send: (stage: Stage, token: string) => Send
}

const FLOWS = ['before', 'new'] as const
const KINDS: readonly Kind[] = ['tcp', 'udp', 'icmp', 'raw']
const VERSIONS: readonly Version[] = [4, 6]
const TARGETS: readonly Target[] = ['resolver', 'metadata', 'host', 'sibling', 'outside']
const DIRECTIONS = ['out', 'in'] as const

const addressOf = (stage: Stage, target: Target | 'replica', version: Version): string => {
  if (target === 'host') return stage.replica.link[version === 4 ? 'hostAddress4' : 'hostAddress6']
  if (target === 'replica' || target === 'sibling')
    return stage[target].link[version === 4 ? 'workloadAddress4' : 'workloadAddress6']
  return FAR[target][version]
}

const agentOf = (stage: Stage, target: Target | 'replica'): Agent =>
  target === 'replica' || target === 'sibling'
    ? stage[target].agent
    : target === 'host'
      ? stage.host
      : stage.outside

const flowName = (kind: Kind, version: Version, direction: string, target: Target): string =>
  `${kind}.${version}.${direction}.${target}`

/** The matrix of the issue: every combination is a cell, none is left out. */
export const CELLS: readonly Cell[] = FLOWS.flatMap((flow) =>
  KINDS.flatMap((kind) =>
    VERSIONS.flatMap((version) =>
      DIRECTIONS.flatMap((direction) =>
        TARGETS.map((target): Cell => {
          const [from, to] = direction === 'out' ? ['replica', target] : [target, 'replica']
          return {
            name: `${flow} ${kind} ${version} ${direction} ${target}`,
            sender: (stage) => agentOf(stage, from as Target),
            send: (stage, token) =>
              flow === 'before' && (kind === 'tcp' || kind === 'udp')
                ? { how: 'on', name: flowName(kind, version, direction, target), token }
                : {
                    how: 'new',
                    kind,
                    version,
                    to: addressOf(stage, to as Target, version),
                    from: [addressOf(stage, from as Target, version), 0],
                    port: PORT,
                    token,
                    // The same numbers as in the round before make an echo or a raw flow an old one.
                    ident: flow === 'before' ? 7 : 8,
                    protocol: flow === 'before' ? 253 : 254,
                  },
          }
        }),
      ),
    ),
  ),
)

const spoofed = (
  name: string,
  sender: (stage: Stage) => Agent,
  ends: (stage: Stage, version: Version) => { source: string; to: string },
): Cell[] =>
  VERSIONS.map((version) => ({
    name: `spoofed ${version} ${name}`,
    sender,
    send: (stage, token) => ({
      how: 'spoofed',
      kind: 'udp',
      version,
      ...ends(stage, version),
      port: PORT,
      token,
    }),
  }))

/** Packets with a source that is not their sender's. */
export const SPOOFED: readonly Cell[] = [
  ...(['outside', 'host', 'sibling'] as const).flatMap((target) =>
    spoofed(
      `out to ${target} as somebody else`,
      (stage) => stage.replica.agent,
      (_, version) => ({
        source: version === 4 ? '198.18.240.77' : 'fd5e:a1ed:e::77',
        to: addressOf(_, target, version),
      }),
    ),
  ),
  ...spoofed(
    'out to outside as the sibling',
    (stage) => stage.replica.agent,
    (stage, version) => ({
      source: addressOf(stage, 'sibling', version),
      to: addressOf(stage, 'outside', version),
    }),
  ),
  ...spoofed(
    'in from outside as the resolver',
    (stage) => stage.outside,
    (stage, version) => ({
      source: addressOf(stage, 'resolver', version),
      to: addressOf(stage, 'replica', version),
    }),
  ),
]

/** Opens the flows that the `before` cells use; all rules must be out of the way. */
export async function openFlows(stage: Stage): Promise<void> {
  for (const kind of ['tcp', 'udp'] as const)
    for (const version of VERSIONS)
      for (const direction of DIRECTIONS)
        for (const target of TARGETS) {
          const [from, to] =
            direction === 'out' ? (['replica', target] as const) : ([target, 'replica'] as const)
          await agentOf(stage, from).open({
            name: flowName(kind, version, direction, target),
            kind,
            version,
            to: addressOf(stage, to, version),
            from: [addressOf(stage, from, version), 0],
            port: PORT,
          })
        }
}

/** Takes the rules away, opens every flow, and puts other rules in their place. */
export async function reset(stage: Stage, change?: (text: string) => string): Promise<void> {
  for (const place of [stage.replica, stage.sibling]) await stage.removeRules(place)
  await openFlows(stage)
  for (const place of [stage.replica, stage.sibling]) await stage.loadRules(place, change)
}

export interface Round {
  /** Names of cells whose token somebody has, sorted. */
  delivered(): Promise<string[]>
  /** What the senders' system said, by cell. */
  readonly outcomes: ReadonlyMap<string, string>
}

/** Tries every cell at once. */
export async function play(stage: Stage, cells: readonly Cell[]): Promise<Round> {
  const bySender = new Map<Agent, { cell: Cell; token: string }[]>()
  const tokens = new Map<string, string>()
  for (const cell of cells) {
    const token = `tok:${randomBytes(6).toString('hex')}`
    tokens.set(token, cell.name)
    const sender = cell.sender(stage)
    bySender.set(sender, [...(bySender.get(sender) ?? []), { cell, token }])
  }
  const outcomes = new Map<string, string>()
  await Promise.all(
    [...bySender].map(async ([sender, mine]) => {
      const results = await sender.send(mine.map(({ cell, token }) => cell.send(stage, token)))
      for (const [index, { cell }] of mine.entries()) outcomes.set(cell.name, results[index] ?? '')
    }),
  )
  return {
    outcomes,
    async delivered() {
      const seen = new Set((await Promise.all(parties(stage).map((one) => one.received()))).flat())
      return [...tokens]
        .filter(([token]) => seen.has(token))
        .map(([, name]) => name)
        .sort()
    },
  }
}

export const parties = (stage: Stage): Agent[] => [
  stage.replica.agent,
  stage.sibling.agent,
  stage.outside,
  stage.host,
  stage.relay,
]

/** Absence has no event to wait for: whatever was on its way has this long to arrive. */
export const QUIET_MS = 500
/** Longer than the first retransmissions of everything that was refused. */
export const LATE_MS = 2_500

export const quiet = (ms = QUIET_MS): Promise<void> => delay(ms)

/** Resolves when all cells have delivered; at the deadline it resolves with what has. */
export async function allDelivered(round: Round, cells: readonly Cell[]): Promise<string[]> {
  const deadline = performance.now() + 5_000
  for (;;) {
    const names = await round.delivered()
    if (names.length === cells.length || performance.now() > deadline) return names
    await delay(20)
  }
}
