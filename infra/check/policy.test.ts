// What the modules must be whatever a deployment sets. Each row opens something on a copy, in words that the providers
// would take. Mutants of the policy that were tried, each turns a row red: technologies not looked at, the template's
// choice not held against them, metadata that is more than the list, a block taken that stands twice, ports of rules or of
// the balancer not read, a denial that is switched off counted, priorities not compared, one closed thing enough for a
// machine to start, lists compared as subsets, the list of logs not compared.
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkModule } from './check-module.ts'
import { withChange } from './copies.ts'
import { INFRA } from './module.ts'
import { policyProblems } from './policy.ts'
import { committedSchemas } from './schemas.ts'

const schemas = await committedSchemas()
const IMAGE = 'modules/image/main.tf'
const FLEET = 'modules/fleet/main.tf'
const NETWORK = 'modules/fleet/network.tf'
const BALANCER = 'modules/fleet/balancer.tf'
const IDENTITY = 'modules/fleet/identity.tf'
const LOGS = 'modules/fleet/logs.tf'
const EDGE = 'modules/edge/main.tf'

test('the modules keep what must be kept', async () => {
  expect(await policyProblems(INFRA)).toEqual([])
})

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
    ['widens scopes', FLEET, 'auth/monitoring.write"', 'auth/cloud-platform"', /scopes are/],
    [
      'starts a machine beside the group',
      BALANCER,
      '"google_compute_address" "sealed"',
      '"google_compute_instance" "sealed"',
      /google_compute_instance is not for here/,
    ],
    [
      'opens another port',
      NETWORK,
      '    src_ip_ranges = var.clients\n\n    layer4_configs {\n      ip_protocol = "tcp"\n      ports       = ["443"]',
      '    src_ip_ranges = var.clients\n\n    layer4_configs {\n      ip_protocol = "tcp"\n      ports       = ["22", "443"]',
      /rule clients_in opens more/,
    ],
    [
      'opens all ports',
      NETWORK,
      '    src_ip_ranges = local.probes\n\n    layer4_configs {\n      ip_protocol = "tcp"\n      ports       = ["443"]\n',
      '    src_ip_ranges = local.probes\n\n    layer4_configs {\n      ip_protocol = "tcp"\n',
      /rule probes_in opens more/,
    ],
    [
      'opens another protocol',
      NETWORK,
      '    src_ip_ranges = var.clients\n\n    layer4_configs {\n      ip_protocol = "tcp"',
      '    src_ip_ranges = var.clients\n\n    layer4_configs {\n      ip_protocol = "all"',
      /rule clients_in opens more/,
    ],
    [
      'lets out to anywhere',
      NETWORK,
      'dest_ip_ranges = [local.google_apis]',
      'dest_ip_ranges = ["0.0.0.0/0"]',
      /rule google_out opens more/,
    ],
    [
      'lets out to all of Google',
      NETWORK,
      '"199.36.153.4/30"',
      '"199.36.153.0/24"',
      /not the restricted range/,
    ],
    [
      'lets the workload out on every port',
      NETWORK,
      '      ip_protocol = each.value.protocol\n      ports       = [tostring(each.value.port)]',
      '      ip_protocol = each.value.protocol',
      /rule workload_out opens more/,
    ],
    [
      'takes the workload’s ways out from elsewhere',
      NETWORK,
      'try(var.workload.egress, [])',
      'try(var.deployment.egress, [])',
      /not the workload file/,
    ],
    [
      'does not deny the rest',
      NETWORK,
      'rule_name       = "nothing-else-out"\n  priority        = 4000\n  direction       = "EGRESS"\n  action          = "deny"',
      'rule_name       = "nothing-else-out"\n  priority        = 4000\n  direction       = "EGRESS"\n  action          = "goto_next"',
      /EGRESS does not end in a denial/,
    ],
    [
      'denies the rest too early to matter',
      NETWORK,
      '  priority        = 2000\n',
      '  priority        = 900\n',
      /INGRESS does not end in a denial/,
    ],
    [
      'denies only some of the rest',
      NETWORK,
      'dest_ip_ranges = ["0.0.0.0/0"]',
      'dest_ip_ranges = ["10.0.0.0/8"]',
      /EGRESS does not end in a denial/,
    ],
    [
      'switches the denial off',
      NETWORK,
      '  enable_logging  = true\n',
      '  enable_logging  = true\n  disabled        = true\n',
      /EGRESS does not end in a denial/,
    ],
    [
      'starts machines before the network is closed',
      FLEET,
      '    google_compute_network_firewall_policy_rule.nothing_else_out,\n',
      '',
      /before the network is closed/,
    ],
    [
      'has classic rules go first',
      NETWORK,
      '"BEFORE_CLASSIC_FIREWALL"',
      '"AFTER_CLASSIC_FIREWALL"',
      /classic firewall rules/,
    ],
    [
      'adds a classic rule',
      BALANCER,
      '"google_compute_address" "sealed"',
      '"google_compute_firewall" "sealed"',
      /google_compute_firewall is not for here/,
    ],
    [
      'forwards other ports',
      BALANCER,
      'ports                 = ["443"]',
      'ports                 = ["80", "443"]',
      /forwards more than 443/,
    ],
    [
      'gives another role',
      IDENTITY,
      '"roles/logging.logWriter"',
      '"roles/editor"',
      /roles are .*roles\/editor/,
    ],
    [
      'gives a role to everybody',
      IDENTITY,
      'role       = "roles/artifactregistry.reader"\n  member     = google_service_account.sealed.member',
      'role       = "roles/artifactregistry.reader"\n  member     = "allUsers"',
      /pull: for whom/,
    ],
    [
      'reads every repository',
      IDENTITY,
      '"google_artifact_registry_repository_iam_member"',
      '"google_project_iam_member"',
      /roles are/,
    ],
    [
      'makes a key of the account',
      IDENTITY,
      '"google_project_iam_member" "metrics"',
      '"google_service_account_key" "metrics"',
      /google_service_account_key is not for here/,
    ],
    [
      'keeps the serial console',
      LOGS,
      '    "compute.googleapis.com/firewall",',
      '    "serialconsole.googleapis.com/serial_port_1_output",',
      /logs with contents/,
    ],
    [
      'keeps every log',
      LOGS,
      `join(" OR ", [for log in local.kept_logs : "log_id(\\"\${log}\\")"])`,
      '"resource.type:*"',
      /keeps more than its list/,
    ],
    ['keeps what machines print', LOGS, ' OR textPayload:*', '', /leaves contents in/],
    [
      'boots what others signed',
      IMAGE,
      `filebase64("\${var.keys}/db.der")`,
      'filebase64("microsoft.der")',
      /dbs is not our own/,
    ],
    [
      'boots what others signed, too',
      IMAGE,
      '    dbs {',
      '    dbs {\n      content   = filebase64("microsoft.der")\n      file_type = "X509"\n    }\n\n    dbs {',
      /dbs is not our own/,
    ],
    [
      'makes an image that cannot be attested',
      IMAGE,
      '  guest_os_features {\n    type = "TDX_CAPABLE"\n  }\n\n',
      '',
      /features are/,
    ],
    ['lets the bucket become public', IMAGE, '"enforced"', '"inherited"', /may become public/],
    ['has TLS end at the edge', EDGE, 'proxied = false', 'proxied = true', /origin is proxied/],
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
