// What the maker of a workload's image lets an operator decide, as labels of the image. Without labels an operator decides
// nothing by which weights or meters could be got at: a command or a variable can turn a server into another program,
// egress lets it speak, a volume can bring along what it takes for code, and use that is not metered is use that no
// authority hears of. What users judge by their own policy (how sessions share a replica, whether activations are observed)
// is limited only where a label says so.
import { type Launch, SealedError, type Workload } from '@sealed/protocol'

const PREFIX = 'sealed.'
const VARIABLE = '[A-Z][A-Z0-9_]{0,63}'
const POLICY = '(?:request|epoch|permanent)'
const RULE = '(?:tcp|udp)/[1-9][0-9]{0,4}/[0-9a-f:.]{2,45}(?:/[0-9]{1,3})?'
/** A place for a volume; with a root hash for no other one. */
const VOLUME = '(?:/[A-Za-z0-9_.-]{1,65}){1,8}(?:=[0-9a-f]{64})?'
const list = (item: string) => new RegExp(`^(?:${item})(?:,${item})*$`)
const listOrNone = (item: string) => new RegExp(`^(?:none|${item}(?:,${item})*)$`)

/** What an operator asks for. */
export interface Asked {
  workload: Workload
  metering: 'required' | 'optional'
  replicas: number
}

interface Rule {
  form: RegExp
  /** What holds where the image has no such label; absent where nothing is limited then. */
  otherwise?: string
  /** What is asked for and not in `allowed`, and by which attribute; undefined where all is. */
  excess(allowed: readonly string[], asked: Asked): string | undefined
}

const firstMissing = (allowed: readonly string[], wanted: readonly string[]) =>
  wanted.find((each) => !allowed.includes(each))

const RULES: Record<string, Rule> = {
  activations: {
    form: /^(?:none|safetensors)$/,
    excess: (allowed, { workload: { activations } }) =>
      allowed.includes(activations) ? undefined : `sealed-workload has activations ${activations}`,
  },
  allow_command_override: {
    form: /^(?:true|false)$/,
    otherwise: 'false',
    excess: ([allowed], { workload }) =>
      allowed === 'true' || workload.command === undefined
        ? undefined
        : 'sealed-command gives a command',
  },
  allow_env_override: {
    form: listOrNone(VARIABLE),
    otherwise: 'none',
    excess(allowed, { workload }) {
      const names = workload.env.map(({ name }) => name)
      const name = firstMissing(allowed, names)
      return name && `sealed-env sets ${name}`
    },
  },
  /** Each as `tcp/443/192.0.2.0/24`. */
  egress: {
    form: listOrNone(RULE),
    otherwise: 'none',
    excess(allowed, { workload }) {
      const rules = workload.egress.map(
        ({ address, port, protocol }) => `${protocol}/${port}/${address}`,
      )
      const rule = firstMissing(allowed, rules)
      return rule && `sealed-workload has egress ${rule}`
    },
  },
  max_replicas: {
    form: /^(?:[1-9]|1[0-6])$/,
    excess: ([most], { replicas }) =>
      replicas <= Number(most) ? undefined : `sealed-deployment has replicas ${replicas}`,
  },
  metering: {
    form: /^(?:required|optional)$/,
    otherwise: 'required',
    excess: ([allowed], { metering }) =>
      allowed === 'optional' || metering === 'required'
        ? undefined
        : `sealed-deployment has metering ${metering}`,
  },
  seal_policies: {
    form: list(POLICY),
    excess: (allowed, { workload: { seal_policy } }) =>
      allowed.includes(seal_policy) ? undefined : `sealed-workload has seal_policy ${seal_policy}`,
  },
  /** Each as `/models`, or as `/models=<root hash>`. */
  weights: {
    form: listOrNone(VOLUME),
    otherwise: 'none',
    excess(allowed, { workload: { weights = [] } }) {
      const volume = weights.find(
        ({ path, root_hash }) =>
          !(allowed.includes(path) || allowed.includes(`${path}=${root_hash}`)),
      )
      return volume && `sealed-workload has weights ${volume.path}=${volume.root_hash}`
    },
  },
}

/** Labels of ours, by name; throws `config.invalid` for one that is not known or says nothing known. */
export function limitingLabels(labels: Readonly<Record<string, string>>): Launch['labels'] {
  const ours = Object.keys(labels).filter((name) => name.startsWith(PREFIX))
  return ours.sort().map((name) => {
    const rule = Object.hasOwn(RULES, name.slice(PREFIX.length))
      ? RULES[name.slice(PREFIX.length)]
      : undefined
    const value = labels[name]!
    if (!rule)
      throw invalid(
        `the image’s label ${name} is not known, so what it limits would go unheeded; known are ${Object.keys(
          RULES,
        )
          .map((known) => PREFIX + known)
          .join(', ')}`,
      )
    if (value.length > 4096 || !rule.form.test(value))
      throw invalid(`the image’s label ${name} says ${JSON.stringify(value)}: not of its form`)
    return { name, value }
  })
}

/** Throws `config.invalid` where more is asked for than the labels allow, naming label, attribute and what is allowed. */
export function refuseExcess(labels: Launch['labels'], asked: Asked): void {
  for (const [short, { otherwise, excess }] of Object.entries(RULES)) {
    const name = PREFIX + short
    const given = labels.find((label) => label.name === name)?.value
    const value = given ?? otherwise
    if (value === undefined) continue
    const reason = excess(value.split(','), asked)
    if (reason !== undefined)
      throw invalid(
        `attribute ${reason}, and the image’s label ${name} ${given === undefined ? `is not set, which allows` : 'allows'}: ${value}`,
      )
  }
}

const invalid = (message: string) => new SealedError('config.invalid', message)
