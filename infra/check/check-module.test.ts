// The modules against their providers' published types. Each row of the table is a mutant of a module on a copy; mutants of
// the checker that were tried, each turns a row red: unknown arguments let through, required arguments or blocks not asked
// for, blocks taken as arguments and the other way round, a single block twice, literals not compared, outputs of modules and
// attributes of resources not looked up, a variable's validation counted as a use, nothing counted as unused, versions not
// compared, form not looked at.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkModule } from './check-module.ts'
import { withChange } from './copies.ts'
import { argumentOf, blocksOf, INFRA, MODULES, readModule } from './module.ts'
import { readBody } from './read-body.ts'
import { committedSchemas } from './schemas.ts'

const schemas = await committedSchemas()
const IMAGE = 'modules/image/main.tf'
const FLEET = 'modules/fleet/main.tf'
const NETWORK = 'modules/fleet/network.tf'
const BALANCER = 'modules/fleet/balancer.tf'
const EDGE = 'modules/edge/main.tf'
const ALERTS = 'modules/fleet/alerts.tf'
const ROOT = 'examples/one-region/main.tf'

test.each(MODULES)('%s holds nothing that its providers do not take', async (name) => {
  expect(await checkModule(join(INFRA, name), schemas)).toEqual([])
})

test('the example of settings sets what must be set, and nothing that is not there', async () => {
  const path = join(INFRA, 'examples/one-region')
  const settings = await readFile(join(path, 'terraform.tfvars.example'), 'utf8')
  const set = readBody(settings).arguments.map(({ name }) => name)
  const shown = [...settings.matchAll(/^# (\w+) +=/gm)].map(([, name]) => name!)
  const variables = blocksOf(await readModule(path), 'variable')
  const required = variables.filter(({ body }) => !argumentOf(body, 'default'))
  const names = variables.map(({ labels }) => labels[0]!)
  expect(set.sort()).toEqual(expect.arrayContaining(required.map(({ labels }) => labels[0]!)))
  expect(names).toEqual(expect.arrayContaining([...set, ...shown]))
})

describe('a changed module is refused, with file and line:', () => {
  test.each([
    [
      'a misspelt argument',
      FLEET,
      '  can_ip_forward ',
      '  can_ip_forwad  ',
      /main\.tf:\d+: .*can_ip_forwad is no argument/,
    ],
    [
      'a misspelt nested argument',
      FLEET,
      'enable_vtpm ',
      'enable_tpm  ',
      /shielded_instance_config: enable_tpm is no argument/,
    ],
    [
      'an argument of a dynamic block',
      ALERTS,
      '      display_name = "all of',
      '      displayname  = "all of',
      /conditions: displayname is no argument/,
    ],
    [
      'an argument below a nested value',
      EDGE,
      '    tag   =',
      '    tagg  =',
      /data: tagg is no argument/,
    ],
    [
      'an unknown block',
      FLEET,
      'confidential_instance_config {',
      'confidential_config {',
      /confidential_config is no block/,
    ],
    [
      'an unknown resource',
      BALANCER,
      '"google_compute_forwarding_rule"',
      '"google_compute_forward_rule"',
      /google_compute_forward_rule: no provider has/,
    ],
    [
      'a missing required argument',
      BALANCER,
      '  name         = var.name\n',
      '',
      /google_compute_address\.sealed: name is required/,
    ],
    [
      'a missing required block',
      FLEET,
      '  autoscaling_policy {',
      '  autoscaling_polic {',
      /autoscaling_policy is required/,
    ],
    [
      'a missing required argument below',
      IMAGE,
      '    source = "https',
      '    sourc  = "https',
      /raw_disk: source is required/,
    ],
    [
      'a block written as an argument',
      NETWORK,
      '  subnetwork {',
      '  subnetwork = {',
      /subnetwork is a block, not an argument/,
    ],
    [
      'an argument written as a block',
      FLEET,
      '  labels = {\n    deployment',
      '  labels {\n    deployment',
      /labels is an argument, not a block/,
    ],
    [
      'a nested value written as a block',
      EDGE,
      'data = {',
      'data {',
      /data is an argument, not a block/,
    ],
    [
      'a block that may stand once, twice',
      FLEET,
      '  scheduling {',
      '  scheduling {\n  }\n\n  scheduling {',
      /scheduling may stand only once/,
    ],
    [
      'text for a number',
      FLEET,
      'target = var.cpu_target',
      'target = "much"',
      /target must be a number/,
    ],
    [
      'a list for text',
      FLEET,
      '    device_name  = "sealed"',
      '    device_name  = ["sealed"]',
      /device_name must be a string/,
    ],
    [
      'text for a list',
      BALANCER,
      'ports                 = ["443"]',
      'ports                 = "443"',
      /ports must be a stringList/,
    ],
    [
      'a value that is neither true nor false',
      FLEET,
      'enable_secure_boot          = true',
      'enable_secure_boot          = "yes"',
      /enable_secure_boot must be a boolean/,
    ],
    [
      'an unknown variable',
      FLEET,
      'source_image = var.image',
      'source_image = var.imag',
      /there is no var\.imag$/,
    ],
    [
      'an unknown local',
      FLEET,
      'can(regex(local.technology.machines',
      'can(regex(local.technolog.machines',
      /there is no local\.technolog$/,
    ],
    [
      'an unknown resource in an expression',
      FLEET,
      'google_compute_region_health_check.live.self_link',
      'google_compute_region_health_check.alive.self_link',
      /there is no such thing/,
    ],
    [
      'an unknown attribute of a resource',
      FLEET,
      'google_service_account.sealed.email',
      'google_service_account.sealed.mail',
      /google_service_account has no mail/,
    ],
    [
      'an unknown attribute behind an index',
      'modules/fleet/names.tf',
      'google[each.key].name\n  name         = each',
      'google[each.key].nam\n  name         = each',
      /google_dns_managed_zone has no nam/,
    ],
    [
      'each without for_each',
      NETWORK,
      '  for_each = local.reach\n',
      '',
      /each\.\w+: there is no such thing/,
    ],
    [
      'an unknown module',
      ROOT,
      'module.image.image',
      'module.imag.image',
      /no module is called imag/,
    ],
    [
      'an unknown output',
      ROOT,
      'module.image.repository',
      'module.image.repo',
      /module image has no output repo/,
    ],
    [
      'an unknown input',
      ROOT,
      '  release      =',
      '  relase       =',
      /relase is no argument of it/,
    ],
    [
      'a missing input',
      ROOT,
      '  workload_image   = var.workload_image\n',
      '',
      /fleet: workload_image is required/,
    ],
    [
      'a variable that nothing but its validation uses',
      BALANCER,
      '= var.drain_seconds',
      '= 60',
      /var\.drain_seconds is declared and never used/,
    ],
    [
      'a local that nothing uses',
      NETWORK,
      'src_ip_ranges = local.probes',
      'src_ip_ranges = []',
      /local\.probes is declared and never used/,
    ],
    [
      'an unknown function',
      IMAGE,
      'filesha256(var.disk_archive)\n\n',
      'filesha1024(var.disk_archive)\n\n',
      /filesha1024\(\) is no function/,
    ],
    [
      'ignored changes of nothing',
      FLEET,
      'ignore_changes = [target_size]',
      'ignore_changes = [target_siz]',
      /target_siz is no argument/,
    ],
    [
      'an unknown part of a lifecycle',
      IMAGE,
      '    create_before_destroy = true\n  }\n}\n\nresource "google_compute_image"',
      '    create_first          = true\n  }\n}\n\nresource "google_compute_image"',
      /lifecycle: create_first is no argument/,
    ],
    [
      'a variable without an explanation',
      'modules/edge/variables.tf',
      '  description = "Cloudflare account that has the Worker."\n',
      '',
      /account_id: description is required/,
    ],
    [
      'another version of a provider',
      'modules/fleet/versions.tf',
      '"6.50.0"',
      '"~> 7.0"',
      /google must be hashicorp\/google 6\.50\.0/,
    ],
    [
      'a provider that is not named',
      'modules/edge/versions.tf',
      'cloudflare = {',
      'google = {',
      /provider cloudflare is used and not in required_providers/,
    ],
    [
      'an unknown setting of a provider',
      ROOT,
      '  region  = var.region\n}',
      '  regio   = var.region\n}',
      /google: regio is no argument/,
    ],
    [
      'a file that is not formatted',
      BALANCER,
      '  port         = 443\n    request_path = "/health/ready"',
      '  port = 443\n    request_path = "/health/ready"',
      /is not formatted/,
    ],
    [
      'a provisioner',
      FLEET,
      '  can_ip_forward   = false\n',
      '  can_ip_forward   = false\n\n  provisioner "local-exec" {\n    command = "true"\n  }\n',
      /provisioner is no block/,
    ],
  ])('%s', async (_, file, from, to, expected) => {
    const module = file.split('/').slice(0, 2).join('/')
    const found = await withChange(file, from, to, (root) =>
      checkModule(join(root, module), schemas),
    )
    expect(found.filter((problem) => expected.test(problem))).not.toEqual([])
  })

  test('what HashiCorp’s parser refuses', async () => {
    const broken = withChange(
      EDGE,
      'zone_id = var.zone_id\n  name    = var.origin\n  type    = "A"',
      'zone_id = = var.zone_id\n  name    = var.origin\n  type    = "A"',
      (root) => checkModule(join(root, 'modules/edge'), schemas),
    )
    await expect(broken).rejects.toThrow(/main\.tf:\d+/)
  })
})
