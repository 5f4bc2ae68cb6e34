// What a machine must be whatever a deployment sets: each row opens something on a copy, in words that the providers would
// take. Mutants of the policy that were tried, each turns a row red: technologies not looked at, the template's choice not
// held against them, metadata or attributes that are more than the list, a block taken that stands twice, disks not counted.
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkModule } from './check-module.ts'
import { withChange } from './copies.ts'
import { policyProblems } from './policy.ts'
import { committedSchemas } from './schemas.ts'

const schemas = await committedSchemas()
const FLEET = 'modules/fleet/main.tf'
const BALANCER = 'modules/fleet/balancer.tf'

describe('a change is refused that', () => {
  test.each([
    [
      'allows a technology without confidential computing',
      FLEET,
      '{ type = "TDX", machines = "^c3',
      '{ type = null, machines = "^c3',
      /tdx is null/,
    ],
    ['allows plain SEV', FLEET, '{ type = "SEV_SNP"', '{ type = "SEV"', /sev_snp is "SEV"/],
    [
      'takes the technology from elsewhere',
      FLEET,
      'confidential_instance_type = local.technology.type',
      'confidential_instance_type = var.technology',
      /confidential_instance_type is var/,
    ],
    [
      'lets go of confidential computing',
      FLEET,
      '  confidential_instance_config {\n    confidential_instance_type = local.technology.type\n  }\n\n',
      '',
      /confidential_instance_type is undefined/,
    ],
    [
      'makes confidential computing depend on something',
      FLEET,
      '  confidential_instance_config {\n    confidential_instance_type = local.technology.type\n  }',
      '  dynamic "confidential_instance_config" {\n    for_each = var.scale_in ? [] : [1]\n\n    content {\n      confidential_instance_type = local.technology.type\n    }\n  }',
      /confidential_instance_type is undefined/,
    ],
    [
      'takes any processor for SEV-SNP',
      FLEET,
      'platform = "AMD Milan"',
      'platform = null',
      /sev_snp needs AMD Milan/,
    ],
    [
      'turns Secure Boot off',
      FLEET,
      'enable_secure_boot          = true',
      'enable_secure_boot          = false',
      /enable_secure_boot is false/,
    ],
    [
      'makes the TPM a choice',
      FLEET,
      'enable_vtpm                 = true',
      'enable_vtpm                 = var.scale_in',
      /enable_vtpm is var/,
    ],
    [
      'turns integrity monitoring off',
      FLEET,
      'enable_integrity_monitoring = true',
      'enable_integrity_monitoring = false',
      /enable_integrity_monitoring is false/,
    ],
    [
      'has machines move',
      FLEET,
      'on_host_maintenance         = "TERMINATE"',
      'on_host_maintenance         = "MIGRATE"',
      /on_host_maintenance is "MIGRATE"/,
    ],
    [
      'lets project-wide ssh keys in',
      FLEET,
      'block-project-ssh-keys     = "TRUE"',
      'block-project-ssh-keys     = "FALSE"',
      /block-project-ssh-keys is "FALSE"/,
    ],
    [
      'brings an ssh key',
      FLEET,
      '    enable-oslogin             = "FALSE"',
      '    enable-oslogin             = "FALSE"\n    ssh-keys                   = "root:ssh-ed25519 AAAA"',
      /metadata ssh-keys is/,
    ],
    [
      'opens the serial console',
      FLEET,
      'serial-port-enable         = "FALSE"',
      'serial-port-enable         = "TRUE"',
      /serial-port-enable is "TRUE"/,
    ],
    [
      'leaves the serial console to the project',
      FLEET,
      '    serial-port-enable         = "FALSE"\n',
      '',
      /serial-port-enable is undefined/,
    ],
    [
      'brings a startup script',
      FLEET,
      '  can_ip_forward   = false\n',
      '  can_ip_forward   = false\n\n  metadata_startup_script = "true"\n',
      /a startup script/,
    ],
    [
      'gives machines addresses',
      FLEET,
      '    stack_type = "IPV4_ONLY"\n',
      '    stack_type = "IPV4_ONLY"\n\n    access_config {\n    }\n',
      /an address or more of its own/,
    ],
    ['widens scopes', FLEET, 'auth/devstorage.read_only"', 'auth/cloud-platform"', /scopes are/],
    [
      'gives attributes that are not looked at',
      FLEET,
      'merge(local.refusals, {',
      'merge(local.refusals, var.workload_env, {',
      /metadata is merge/,
    ],
    [
      'gives an empty command in the place of none',
      FLEET,
      'length(var.workload_command) == 0 ? null : jsonencode(var.workload_command)',
      'jsonencode(var.workload_command)',
      /metadata sealed-command is/,
    ],
    [
      'attaches another disk',
      FLEET,
      '    disk_size_gb = var.disk_gb\n  }\n',
      '    disk_size_gb = var.disk_gb\n  }\n\n  disk {\n    device_name  = "sealed-state"\n    disk_size_gb = 10\n  }\n',
      /not exactly one disk/,
    ],
    [
      'starts from a disk of weights',
      FLEET,
      '      boot         = false\n',
      '      boot         = true\n',
      /of the weights content.boot is not false/,
    ],
    [
      'attaches a disk that others have too',
      FLEET,
      '      source_image = disk.value\n',
      '      source       = disk.value\n',
      /of the weights content.source_image is not disk.value/,
    ],
    [
      'leaves weights behind',
      FLEET,
      '      auto_delete  = true\n',
      '      auto_delete  = false\n',
      /of the weights content.auto_delete is not true/,
    ],
    [
      'attaches weights that nobody named',
      FLEET,
      'for_each = var.weights\n',
      'for_each = concat(var.weights, [var.image])\n',
      /of the weights for_each is not var.weights/,
    ],
    [
      'leaves no room for the state',
      FLEET,
      '    disk_size_gb = var.disk_gb\n',
      '',
      /disk_size_gb is undefined/,
    ],
    [
      'starts a machine beside the group',
      BALANCER,
      '"google_compute_address" "sealed"',
      '"google_compute_instance" "sealed"',
      /google_compute_instance is not for here/,
    ],
  ])('%s', async (_, file, from, to, expected) => {
    const found = await withChange(file, from, to, policyProblems)
    expect(found.filter((problem) => expected.test(problem))).not.toEqual([])
  })
})

test('a second way of naming the technology is no way around', async () => {
  const from = '  shielded_instance_config {'
  const to =
    '  confidential_instance_config {\n    enable_confidential_compute = false\n  }\n\n  shielded_instance_config {'
  const found = await withChange(FLEET, from, to, async (root) => [
    await policyProblems(root),
    await checkModule(join(root, 'modules/fleet'), schemas),
  ])
  expect(found.every((problems) => problems.length > 0)).toBe(true)
})
