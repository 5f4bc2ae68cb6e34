# Names of Google's APIs and registries lead to the restricted range, for this network alone.

locals {
  google_zones = {
    apis     = "googleapis.com."
    registry = "pkg.dev."
  }
  google_hosts = {
    apis     = "restricted.googleapis.com."
    registry = "pkg.dev."
  }
}

resource "google_dns_managed_zone" "google" {
  for_each = local.google_zones

  name        = "${var.name}-${each.key}"
  project     = var.project
  dns_name    = each.value
  description = "Google's APIs through the restricted range"
  visibility  = "private"

  private_visibility_config {
    networks {
      network_url = google_compute_network.sealed.id
    }
  }
}

resource "google_dns_record_set" "google_host" {
  for_each = local.google_hosts

  project      = var.project
  managed_zone = google_dns_managed_zone.google[each.key].name
  name         = each.value
  type         = "A"
  ttl          = 300
  rrdatas      = [for number in range(4) : cidrhost(local.google_apis, number)]
}

resource "google_dns_record_set" "google_others" {
  for_each = local.google_zones

  project      = var.project
  managed_zone = google_dns_managed_zone.google[each.key].name
  name         = "*.${each.value}"
  type         = "CNAME"
  ttl          = 300
  rrdatas      = [local.google_hosts[each.key]]
}
