// What passes: 443 in; out to Google's restricted range (80 for certificates) and to what is named; and after that nothing.
import { elements } from './expression.ts'
import { argumentOf, type Module, nestedOf, type Placed } from './module.ts'
import { local, type Must, only, same, strings, text } from './policy-text.ts'
import type { Body } from './read-body.ts'

const CLOSED = [
  'google_compute_network_firewall_policy_association.sealed',
  'google_compute_network_firewall_policy_rule.nothing_else_in',
  'google_compute_network_firewall_policy_rule.nothing_else_out',
]

type Direction = 'INGRESS' | 'EGRESS'

export async function network(fleet: Module, must: Must): Promise<void> {
  for (const { body } of only(fleet, 'google_compute_network'))
    must(
      text(body, 'network_firewall_policy_enforcement_order') === '"BEFORE_CLASSIC_FIREWALL"',
      'classic firewall rules would come before the policy',
    )
  must(local(fleet, 'google_apis') === '"199.36.153.4/30"', 'Google is not the restricted range')
  must(
    local(fleet, 'egress').includes('try(var.workload.egress, [])'),
    'egress is not the workload file’s',
  )
  const rules = only(fleet, 'google_compute_network_firewall_policy_rule')
  for (const rule of rules)
    must(
      text(rule.body, 'action') === '"deny"' || (await opensOnlyWhatItMay(rule.body)),
      `rule ${rule.labels[1]} opens more than 443 in, Google and what is named out`,
    )
  for (const direction of ['INGRESS', 'EGRESS'] as const)
    must(
      await endsInDenial(rules, direction),
      `${direction} does not end in a denial of everything`,
    )
  for (const { body } of only(fleet, 'google_compute_region_instance_group_manager')) {
    const after = (await elements(text(body, 'depends_on') ?? '[]')) ?? []
    must(
      CLOSED.every((resource) => after.includes(resource)),
      'machines may start before the network is closed',
    )
  }
  for (const { body } of only(fleet, 'google_compute_forwarding_rule')) {
    must(await onlyPort(body, 'ports', '443'), 'the balancer forwards more than 443')
    must(argumentOf(body, 'all_ports') === undefined, 'the balancer forwards all ports')
  }
}

const onlyPort = async (body: Body, path: string, port: string) =>
  same(await strings(text(body, path)), [port])

const priority = ({ body }: Placed) => Number.parseInt(text(body, 'priority') ?? '', 10)

async function opensOnlyWhatItMay(body: Body): Promise<boolean> {
  const to = text(body, 'match.dest_ip_ranges') ?? text(body, 'match.dest_fqdns')
  const each = text(body, 'for_each')
  if (each === 'local.egress' || each === 'local.reach') {
    const target = each === 'local.egress' ? '[each.value.address]' : '[each.value.name]'
    const port = text(body, 'match.layer4_configs.ports')
    return to === target && port === '[tostring(each.value.port)]'
  }
  const inward = text(body, 'direction') === '"INGRESS"' && to === undefined
  if (!inward && to !== '[local.google_apis]') return false
  if (text(body, 'match.layer4_configs.ip_protocol') !== '"tcp"') return false
  const ports = 'match.layer4_configs.ports'
  return (await onlyPort(body, ports, '443')) || (!inward && (await onlyPort(body, ports, '80')))
}

/** Whether some rule denies everything, always, and all that allow something come before it. */
async function endsInDenial(rules: Placed[], direction: Direction): Promise<boolean> {
  const own = rules.filter(({ body }) => text(body, 'direction') === `"${direction}"`)
  const allows = own.filter(({ body }) => text(body, 'action') !== '"deny"').map(priority)
  for (const rule of own) {
    const { body } = rule
    const from = direction === 'INGRESS' ? 'match.src_ip_ranges' : 'match.dest_ip_ranges'
    const everything =
      text(body, 'action') === '"deny"' &&
      same(await strings(text(body, from)), ['0.0.0.0/0']) &&
      nestedOf(body, 'match')[0]?.body.arguments.length === 1 &&
      text(body, 'match.layer4_configs.ip_protocol') === '"all"'
    const always =
      argumentOf(body, 'disabled') === undefined &&
      argumentOf(body, 'count') === undefined &&
      argumentOf(body, 'target_service_accounts') === undefined &&
      nestedOf(body, 'target_secure_tags').length === 0
    if (everything && always && allows.every((allow) => allow < priority(rule))) return true
  }
  return false
}
