// What may pass whatever a deployment sets: each row opens something on a copy. Mutants of the policy that were tried, each
// turns a row red: ports of rules or of the balancer not read, 80 taken inward too, a denial that is switched off counted,
// priorities not compared, one closed thing enough for a machine to start.
import { describe, expect, test } from 'vitest'
import { withChange } from './copies.ts'
import { policyProblems } from './policy.ts'

const FLEET = 'modules/fleet/main.tf'
const NETWORK = 'modules/fleet/network.tf'
const BALANCER = 'modules/fleet/balancer.tf'

describe('a change is refused that', () => {
  test.each([
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
      'dest_ip_ranges = [local.google_apis]\n\n    layer4_configs {\n      ip_protocol = "tcp"\n      ports       = ["443"]',
      'dest_ip_ranges = ["0.0.0.0/0"]\n\n    layer4_configs {\n      ip_protocol = "tcp"\n      ports       = ["443"]',
      /rule google_out opens more/,
    ],
    [
      'fetches certificates from anywhere',
      NETWORK,
      'dest_ip_ranges = [local.google_apis]\n\n    layer4_configs {\n      ip_protocol = "tcp"\n      ports       = ["80"]',
      'dest_ip_ranges = ["0.0.0.0/0"]\n\n    layer4_configs {\n      ip_protocol = "tcp"\n      ports       = ["80"]',
      /rule issuers_out opens more/,
    ],
    [
      'opens a further port of Google',
      NETWORK,
      'ports       = ["80"]',
      'ports       = ["22", "80"]',
      /rule issuers_out opens more/,
    ],
    [
      'answers in clear',
      NETWORK,
      '    src_ip_ranges = local.probes\n\n    layer4_configs {\n      ip_protocol = "tcp"\n      ports       = ["443"]',
      '    src_ip_ranges = local.probes\n\n    layer4_configs {\n      ip_protocol = "tcp"\n      ports       = ["80"]',
      /rule probes_in opens more/,
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
  ])('%s', async (_, file, from, to, expected) => {
    const found = await withChange(file, from, to, policyProblems)
    expect(found.filter((problem) => expected.test(problem))).not.toEqual([])
  })
})
