// What must hold of the modules whatever a deployment sets: confidential computing and Shielded VM on, one port in, out only
// what is named, nobody who logs in, no role but three. Read from the files, so that a change that opens something turns a
// test red before anybody applies it.
import { join } from 'node:path'
import { elements, literal, members } from './expression.ts'
import { argumentOf, blocksOf, type Module, nestedOf, type Placed, readModule } from './module.ts'
import type { Body } from './read-body.ts'

const METADATA: Record<string, string> = {
  'block-project-ssh-keys': '"TRUE"',
  'enable-guest-attributes': '"FALSE"',
  'enable-oslogin': '"FALSE"',
  'enable-osconfig': '"FALSE"',
  'serial-port-enable': '"FALSE"',
  'serial-port-logging-enable': '"FALSE"',
  'sealed-image': 'var.workload_image',
  'sealed-command': 'jsonencode(var.workload_command)',
  'sealed-env': 'jsonencode(var.workload_env)',
  'sealed-workload': 'jsonencode(var.workload)',
  'sealed-deployment': 'jsonencode(var.deployment)',
}

const SCOPES = ['devstorage.read_only', 'logging.write', 'monitoring.write']

const ROLES = [
  'google_artifact_registry_repository_iam_member roles/artifactregistry.reader',
  'google_project_iam_member roles/logging.logWriter',
  'google_project_iam_member roles/monitoring.metricWriter',
]

/** Ways in or out that go past what is checked here. */
const FORBIDDEN = [
  /^google_compute_instance(_from_template|_template|_from_machine_image)?$/,
  /^google_compute_firewall/,
  /^google_compute_(project_metadata|instance_iam|region_instance_template_iam)/,
  /^google_compute_(network_peering|vpn|interconnect|packet_mirroring|snapshot)/,
  /^google_(os_login|service_account_key|storage_bucket_acl|storage_default)/,
  /_iam_(policy|binding)$/,
]

const LOGS = [
  'cloudaudit.googleapis.com/activity',
  'cloudaudit.googleapis.com/system_event',
  'cloudaudit.googleapis.com/policy',
  'compute.googleapis.com/firewall',
  'compute.googleapis.com/healthchecks',
  'compute.googleapis.com/shielded_vm_integrity',
]

/** What is wrong in the folder that holds modules/; nothing found is an empty list. */
export async function policyProblems(root: string): Promise<string[]> {
  const read = (name: string) => readModule(join(root, 'modules', name))
  const [image, fleet, edge] = await Promise.all([read('image'), read('fleet'), read('edge')])
  const problems: string[] = []
  const must = (holds: boolean, message: string) => {
    if (!holds) problems.push(message)
  }
  for (const module of [image, fleet, edge])
    for (const { labels } of blocksOf(module, 'resource'))
      must(!FORBIDDEN.some((form) => form.test(labels[0]!)), `${labels[0]} is not for here`)
  await machines(fleet, must)
  await network(fleet, must)
  await identity(fleet, must)
  await logs(fleet, must)
  await disk(image, must)
  for (const { body } of only(edge, 'cloudflare_dns_record'))
    if (text(body, 'type') === '"A"')
      must(text(body, 'proxied') === 'false', 'the origin is proxied')
  return problems
}

type Must = (holds: boolean, message: string) => void

const only = (module: Module, type: string): Placed[] =>
  blocksOf(module, 'resource').filter(({ labels }) => labels[0] === type)

/** Source text at a path of nested blocks that each stand once: `match.layer4_configs.ports`. */
function text(body: Body, path: string): string | undefined {
  const [first = '', ...rest] = path.split('.')
  if (rest.length === 0) return argumentOf(body, first)?.expression.replace(/\s+/g, ' ')
  const found = nestedOf(body, first)
  return found.length === 1 ? text(found[0]!.body, rest.join('.')) : undefined
}

async function strings(expression: string | undefined): Promise<string[] | undefined> {
  const found = expression === undefined ? undefined : await elements(expression)
  if (!found) return undefined
  const values = await Promise.all(found.map(literal))
  return values.map((value) => ('text' in value ? value.text : ''))
}

const same = (found: string[] | undefined, expected: string[]) =>
  JSON.stringify(found?.toSorted()) === JSON.stringify(expected.toSorted())

function local(module: Module, name: string): string {
  const bodies = blocksOf(module, 'locals').map(({ body }) => body)
  return bodies.map((body) => argumentOf(body, name)?.expression).find(Boolean) ?? '[]'
}

async function machines(fleet: Module, must: Must): Promise<void> {
  const technologies = Object.entries((await members(local(fleet, 'technologies'))) ?? {})
  must(technologies.length > 0, 'no technologies are written out')
  for (const [name, expression] of technologies) {
    const { type, platform } = (await members(expression)) ?? {}
    must(type === '"TDX"' || type === '"SEV_SNP"', `${name} is ${type}, neither TDX nor SEV_SNP`)
    must(type !== '"SEV_SNP"' || platform === '"AMD Milan"', `${name} needs AMD Milan`)
  }
  must(
    local(fleet, 'technology') === 'local.technologies[var.technology]',
    'the technology is not one of those that are written out',
  )
  const templates = only(fleet, 'google_compute_region_instance_template')
  must(templates.length === 1, 'there is not exactly one template')
  for (const { body } of templates) {
    const is = (path: string, expected: string) =>
      must(
        text(body, path) === expected,
        `template: ${path} is ${text(body, path)}, not ${expected}`,
      )
    is('confidential_instance_config.confidential_instance_type', 'local.technology.type')
    is('min_cpu_platform', 'local.technology.platform')
    is('shielded_instance_config.enable_secure_boot', 'true')
    is('shielded_instance_config.enable_vtpm', 'true')
    is('shielded_instance_config.enable_integrity_monitoring', 'true')
    is('scheduling.on_host_maintenance', '"TERMINATE"')
    is('can_ip_forward', 'false')
    is('network_interface.nic_type', '"GVNIC"')
    is('network_interface.stack_type', '"IPV4_ONLY"')
    is('service_account.email', 'google_service_account.sealed.email')
    must(argumentOf(body, 'metadata_startup_script') === undefined, 'template: a startup script')
    const [nic] = nestedOf(body, 'network_interface')
    must(nic?.body.blocks.length === 0, 'template: an address or more of its own')
    const metadata = (await members(argumentOf(body, 'metadata')?.expression ?? '[]')) ?? {}
    for (const name of new Set([...Object.keys(METADATA), ...Object.keys(metadata)]))
      must(
        metadata[name] === METADATA[name],
        `template: metadata ${name} is ${metadata[name]}, not ${METADATA[name]}`,
      )
    const scopes = await strings(text(body, 'service_account.scopes'))
    const full = SCOPES.map((name) => `https://www.googleapis.com/auth/${name}`)
    must(same(scopes, full), `template: scopes are ${scopes}`)
    const devices = nestedOf(body, 'disk').map((disk) => text(disk.body, 'device_name') ?? '')
    must(same(devices, ['"sealed-image"', '"sealed-state"']), `template: disks are ${devices}`)
  }
}

async function network(fleet: Module, must: Must): Promise<void> {
  const only443 = async (body: Body, path: string) => same(await strings(text(body, path)), ['443'])
  for (const { body } of only(fleet, 'google_compute_network'))
    must(
      text(body, 'network_firewall_policy_enforcement_order') === '"BEFORE_CLASSIC_FIREWALL"',
      'classic firewall rules would come before the policy',
    )
  must(local(fleet, 'google_apis') === '"199.36.153.4/30"', 'Google is not the restricted range')
  const rules = only(fleet, 'google_compute_network_firewall_policy_rule')
  const last = { INGRESS: 0, EGRESS: 0 }
  for (const { body, labels } of rules) {
    const name = labels[1]
    const direction = text(body, 'direction') === '"INGRESS"' ? 'INGRESS' : 'EGRESS'
    if (text(body, 'action') !== '"allow"') {
      const ranges = direction === 'INGRESS' ? 'src_ip_ranges' : 'dest_ip_ranges'
      const all = same(await strings(text(body, `match.${ranges}`)), ['0.0.0.0/0'])
      const any = text(body, 'match.layer4_configs.ip_protocol') === '"all"'
      const always =
        argumentOf(body, 'disabled') === undefined && nestedOf(body, 'match').length === 1
      if (text(body, 'action') === '"deny"' && all && any && always)
        last[direction] = Number(text(body, 'priority'))
      continue
    }
    const match = nestedOf(body, 'match')[0]!.body
    const to = text(match, 'dest_ip_ranges') ?? text(match, 'dest_fqdns')
    const each = text(body, 'for_each')
    const named =
      (each === 'local.egress' && to === '[each.value.address]') ||
      (each === 'local.reach' && to === '[each.value.name]')
    const port = text(match, 'layer4_configs.ports')
    const fits = named
      ? port === '[tostring(each.value.port)]'
      : (direction === 'INGRESS' || to === '[local.google_apis]') &&
        text(match, 'layer4_configs.ip_protocol') === '"tcp"' &&
        (await only443(match, 'layer4_configs.ports'))
    must(fits, `rule ${name} opens more than 443 in, Google and what is named out`)
  }
  for (const direction of ['INGRESS', 'EGRESS'] as const) {
    const allowed = rules.filter(({ body }) => text(body, 'direction') === `"${direction}"`)
    const highest = allowed.filter(({ body }) => text(body, 'action') !== '"deny"')
    const before = highest.every(
      ({ body }) => Number.parseInt(text(body, 'priority') ?? '', 10) < last[direction],
    )
    must(last[direction] > 0 && before, `${direction} does not end in a denial of everything`)
  }
  const workload = local(fleet, 'egress')
  must(workload.includes('try(var.workload.egress, [])'), 'egress is not the workload file’s')
  for (const { body } of only(fleet, 'google_compute_forwarding_rule')) {
    must(await only443(body, 'ports'), 'the balancer forwards more than 443')
    must(argumentOf(body, 'all_ports') === undefined, 'the balancer forwards all ports')
  }
}

async function identity(fleet: Module, must: Must): Promise<void> {
  const grants = blocksOf(fleet, 'resource').filter(({ labels }) => labels[0]!.includes('_iam_'))
  const given = grants.map(({ body, labels }) => {
    must(text(body, 'member') === 'google_service_account.sealed.member', `${labels[1]}: for whom?`)
    return `${labels[0]} ${(text(body, 'role') ?? '').replaceAll('"', '')}`
  })
  must(same(given, ROLES), `roles are ${given}`)
}

async function logs(fleet: Module, must: Must): Promise<void> {
  const kept = (await strings(local(fleet, 'kept_logs'))) ?? ['?']
  must(
    kept.every((log) => LOGS.includes(log)),
    `logs with contents may be kept: ${kept}`,
  )
  for (const { body } of only(fleet, 'google_logging_project_sink')) {
    const filter = text(body, 'filter')
    must(
      filter?.includes('for log in local.kept_logs') ?? false,
      'the sink keeps more than its list',
    )
    const left = text(body, 'exclusions.filter') ?? ''
    must(
      left.includes('textPayload') && left.includes('httpRequest'),
      'the sink leaves contents in',
    )
  }
}

async function disk(image: Module, must: Must): Promise<void> {
  for (const { body } of only(image, 'google_compute_image')) {
    const features = nestedOf(body, 'guest_os_features').map((one) => text(one.body, 'type') ?? '')
    const expected = ['"UEFI_COMPATIBLE"', '"GVNIC"', '"SEV_SNP_CAPABLE"', '"TDX_CAPABLE"']
    must(same(features, expected), `image: features are ${features}`)
    for (const [key, file] of Object.entries({ pk: 'PK', keks: 'KEK', dbs: 'db' }))
      must(
        text(body, `shielded_instance_initial_state.${key}.content`) ===
          `filebase64("\${var.keys}/${file}.der")`,
        `image: ${key} is not our own and only key`,
      )
  }
  for (const { body } of only(image, 'google_storage_bucket')) {
    must(text(body, 'public_access_prevention') === '"enforced"', 'the bucket may become public')
    must(text(body, 'uniform_bucket_level_access') === 'true', 'objects have lists of their own')
  }
}
