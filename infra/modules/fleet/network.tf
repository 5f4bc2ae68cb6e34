# The network: one subnetwork, no address of a machine's own, and one list of what passes. The policy comes before the
# network's classic firewall rules and ends in a denial of everything, so that a rule that somebody adds beside it opens
# nothing. What no rule here can reach: the metadata server (169.254.169.254: attributes, names, the service account's
# token). Keeping workloads from it is the seal's work, inside the machine.

locals {
  # restricted.googleapis.com: Google's APIs that VPC Service Controls cover, with the registry and storage among them.
  google_apis = "199.36.153.4/30"

  # Where health checks of machines and of pass-through balancers come from.
  probes = ["35.191.0.0/16", "130.211.0.0/22", "209.85.152.0/22", "209.85.204.0/22"]

  # What the workload file names, and nothing else of it; a bare address is one host.
  egress = {
    for index, rule in try(var.workload.egress, []) :
    index => merge(rule, {
      address = strcontains(rule.address, "/") ? rule.address : strcontains(rule.address, ":") ? "${rule.address}/128" : "${rule.address}/32"
    })
  }

  # What gateway and embassy themselves reach: the witnesses of the deployment, and what var.reach adds.
  witnesses = [
    for witness in try(var.deployment.witnesses, []) : {
      name = regex("^https://([^/:]+)", witness.url)[0]
      port = try(tonumber(regex("^https://[^/:]+:([0-9]+)", witness.url)[0]), 443)
    }
  ]
  reach = { for index, target in distinct(concat(var.reach, local.witnesses)) : index => target }

  leaves = length(local.egress) + length(local.reach) > 0
}

resource "google_compute_network" "sealed" {
  name                                      = var.name
  project                                   = var.project
  auto_create_subnetworks                   = false
  network_firewall_policy_enforcement_order = "BEFORE_CLASSIC_FIREWALL"
}

resource "google_compute_subnetwork" "sealed" {
  name                     = var.name
  project                  = var.project
  region                   = var.region
  network                  = google_compute_network.sealed.id
  ip_cidr_range            = var.range
  stack_type               = "IPV4_ONLY"
  private_ip_google_access = true
}

resource "google_compute_network_firewall_policy" "sealed" {
  name        = var.name
  project     = var.project
  description = "443 in; out what is named"
}

resource "google_compute_network_firewall_policy_association" "sealed" {
  name              = var.name
  project           = var.project
  attachment_target = google_compute_network.sealed.id
  firewall_policy   = google_compute_network_firewall_policy.sealed.name
}

resource "google_compute_network_firewall_policy_rule" "clients_in" {
  project         = var.project
  firewall_policy = google_compute_network_firewall_policy.sealed.name
  rule_name       = "clients-in"
  priority        = 1000
  direction       = "INGRESS"
  action          = "allow"

  match {
    src_ip_ranges = var.clients

    layer4_configs {
      ip_protocol = "tcp"
      ports       = ["443"]
    }
  }
}

# By itself, since var.clients may be narrower than the internet.
resource "google_compute_network_firewall_policy_rule" "probes_in" {
  project         = var.project
  firewall_policy = google_compute_network_firewall_policy.sealed.name
  rule_name       = "probes-in"
  priority        = 1100
  direction       = "INGRESS"
  action          = "allow"

  match {
    src_ip_ranges = local.probes

    layer4_configs {
      ip_protocol = "tcp"
      ports       = ["443"]
    }
  }
}

resource "google_compute_network_firewall_policy_rule" "nothing_else_in" {
  project         = var.project
  firewall_policy = google_compute_network_firewall_policy.sealed.name
  rule_name       = "nothing-else-in"
  priority        = 2000
  direction       = "INGRESS"
  action          = "deny"

  match {
    src_ip_ranges = ["0.0.0.0/0"]

    layer4_configs {
      ip_protocol = "all"
    }
  }
}

resource "google_compute_network_firewall_policy_rule" "google_out" {
  project         = var.project
  firewall_policy = google_compute_network_firewall_policy.sealed.name
  rule_name       = "google-out"
  priority        = 3000
  direction       = "EGRESS"
  action          = "allow"

  match {
    dest_ip_ranges = [local.google_apis]

    layer4_configs {
      ip_protocol = "tcp"
      ports       = ["443"]
    }
  }
}

# The certificates above the attestation key's lie where each names its issuer's: in buckets of Google's, by plain HTTP
# (privateca-content-*.storage.googleapis.com, which names.tf leads to the same range). They are held against signatures.
# A machine that cannot fetch them does not launch.
resource "google_compute_network_firewall_policy_rule" "issuers_out" {
  project         = var.project
  firewall_policy = google_compute_network_firewall_policy.sealed.name
  rule_name       = "issuers-out"
  priority        = 3010
  direction       = "EGRESS"
  action          = "allow"

  match {
    dest_ip_ranges = [local.google_apis]

    layer4_configs {
      ip_protocol = "tcp"
      ports       = ["80"]
    }
  }
}

resource "google_compute_network_firewall_policy_rule" "workload_out" {
  for_each = local.egress

  project         = var.project
  firewall_policy = google_compute_network_firewall_policy.sealed.name
  rule_name       = "workload-out-${each.key}"
  priority        = 3100 + each.key
  direction       = "EGRESS"
  action          = "allow"

  match {
    dest_ip_ranges = [each.value.address]

    layer4_configs {
      ip_protocol = each.value.protocol
      ports       = [tostring(each.value.port)]
    }
  }
}

resource "google_compute_network_firewall_policy_rule" "named_out" {
  for_each = local.reach

  project         = var.project
  firewall_policy = google_compute_network_firewall_policy.sealed.name
  rule_name       = "named-out-${each.key}"
  priority        = 3300 + each.key
  direction       = "EGRESS"
  action          = "allow"

  match {
    dest_fqdns = [each.value.name]

    layer4_configs {
      ip_protocol = "tcp"
      ports       = [tostring(each.value.port)]
    }
  }
}

# Logged (addresses and ports): on these machines an attempt to leave is news.
resource "google_compute_network_firewall_policy_rule" "nothing_else_out" {
  project         = var.project
  firewall_policy = google_compute_network_firewall_policy.sealed.name
  rule_name       = "nothing-else-out"
  priority        = 4000
  direction       = "EGRESS"
  action          = "deny"
  enable_logging  = true

  match {
    dest_ip_ranges = ["0.0.0.0/0"]

    layer4_configs {
      ip_protocol = "all"
    }
  }
}

# Only where something is named that lies outside Google.
resource "google_compute_router" "sealed" {
  count = local.leaves ? 1 : 0

  name    = var.name
  project = var.project
  region  = var.region
  network = google_compute_network.sealed.id
}

resource "google_compute_router_nat" "sealed" {
  count = local.leaves ? 1 : 0

  name                               = var.name
  project                            = var.project
  region                             = var.region
  router                             = google_compute_router.sealed[0].name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.sealed.id
    source_ip_ranges_to_nat = ["PRIMARY_IP_RANGE"]
  }
}
