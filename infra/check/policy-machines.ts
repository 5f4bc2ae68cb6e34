// What a machine is: confidential, Shielded, without a way to log in, and told nothing but what it measures.
import { members } from './expression.ts'
import { argumentOf, type Module, nestedOf } from './module.ts'
import { local, type Must, only, same, strings, text } from './policy-text.ts'
import type { Body } from './read-body.ts'

const REFUSALS: Record<string, string> = {
  'block-project-ssh-keys': '"TRUE"',
  'enable-guest-attributes': '"FALSE"',
  'enable-oslogin': '"FALSE"',
  'enable-osconfig': '"FALSE"',
  'serial-port-enable': '"FALSE"',
  'serial-port-logging-enable': '"FALSE"',
}

/** What the image takes; values that are null are left out. */
const ATTRIBUTES: Record<string, string> = {
  'sealed-image': 'var.workload_image',
  'sealed-command': 'length(var.workload_command) == 0 ? null : jsonencode(var.workload_command)',
  'sealed-env': 'length(var.workload_env) == 0 ? null : jsonencode(var.workload_env)',
  'sealed-workload': 'jsonencode(var.workload)',
  'sealed-deployment': 'jsonencode(var.deployment)',
}

const METADATA =
  'merge(local.refusals, { for name, value in local.attributes : name => value if value != null })'

/** Made for the machine of an image of the operator's, and gone with it. */
const WEIGHTS: Record<string, string | undefined> = {
  for_each: 'var.weights',
  'content.boot': 'false',
  'content.auto_delete': 'true',
  'content.source_image': 'disk.value',
  'content.source': undefined,
}

const SCOPES = ['https://www.googleapis.com/auth/devstorage.read_only']

export async function machines(fleet: Module, must: Must): Promise<void> {
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
    is('metadata', METADATA)
    const scopes = await strings(text(body, 'service_account.scopes'))
    must(same(scopes, SCOPES), `template: scopes are ${scopes}`)
    // The state lies behind the image. What else is attached is read under a root hash, and holds nothing of a machine's.
    const [own, weights, ...more] = disksOf(body)
    must(
      own?.type === 'disk' && weights?.type === 'dynamic' && more.length === 0,
      'template: there is not exactly one disk of its own, and the weights beside it',
    )
    for (const [path, expected] of Object.entries(WEIGHTS))
      must(
        weights !== undefined && text(weights.body, path) === expected,
        `template: of the weights ${path} is not ${expected}`,
      )
    is('disk.boot', 'true')
    is('disk.source_image', 'var.image')
    is('disk.disk_size_gb', 'var.disk_gb')
  }
  await written(fleet, 'refusals', REFUSALS, must)
  await written(fleet, 'attributes', ATTRIBUTES, must)
}

const disksOf = ({ blocks }: Body) =>
  blocks.filter(({ type, labels }) => type === 'disk' || labels[0] === 'disk')

/** That a local value is written out with exactly these members. */
async function written(
  fleet: Module,
  name: string,
  expected: Record<string, string>,
  must: Must,
): Promise<void> {
  const found = (await members(local(fleet, name))) ?? {}
  for (const each of new Set([...Object.keys(expected), ...Object.keys(found)]))
    must(
      found[each] === expected[each],
      `template: metadata ${each} is ${found[each]}, not ${expected[each]}`,
    )
}
