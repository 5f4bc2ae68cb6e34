# A fleet of confidential machines in one region: the template that says what each of them is, the group that keeps them,
# and the autoscaler. Nothing here can be told to leave confidential computing or Shielded VM off, to let anybody log in,
# or to start anything but the measured image.

locals {
  technologies = {
    tdx     = { type = "TDX", machines = "^c3-standard-[0-9]+$", platform = null, spot = false }
    sev_snp = { type = "SEV_SNP", machines = "^n2d-standard-[0-9]+$", platform = "AMD Milan", spot = false }
    # Untested, and the GPU is not attested: nothing in a receipt says what the GPU is or does.
    tdx_h100_untested = { type = "TDX", machines = "^a3-highgpu-1g$", platform = null, spot = true }
  }
  technology = local.technologies[var.technology]

  # tls-alpn-01 is answered by whichever machine the balancer picks, so the one that asked must be the only one.
  tls_mode = try(var.deployment.gateway.tls.mode, "")
  acme     = local.tls_mode == "acme"

  # All that the image reads; it measures them before it starts anything, and refuses any other sealed-* attribute. Where
  # nothing is given there is no attribute: an empty command would be refused, and not mean the image's own.
  attributes = {
    sealed-image      = var.workload_image
    sealed-command    = length(var.workload_command) == 0 ? null : jsonencode(var.workload_command)
    sealed-env        = length(var.workload_env) == 0 ? null : jsonencode(var.workload_env)
    sealed-workload   = jsonencode(var.workload)
    sealed-deployment = jsonencode(var.deployment)
  }

  # They say no where the project says yes: instance metadata wins over the project's. The image has nothing that would
  # heed a yes, neither agent nor serial port.
  refusals = {
    block-project-ssh-keys     = "TRUE"
    enable-guest-attributes    = "FALSE"
    enable-oslogin             = "FALSE"
    enable-osconfig            = "FALSE"
    serial-port-enable         = "FALSE"
    serial-port-logging-enable = "FALSE"
  }
}

resource "google_compute_region_instance_template" "sealed" {
  name_prefix      = "${var.name}-"
  project          = var.project
  region           = var.region
  description      = "Sealed computation, ${local.technology.type}"
  machine_type     = var.machine_type
  min_cpu_platform = local.technology.platform
  can_ip_forward   = false

  confidential_instance_config {
    confidential_instance_type = local.technology.type
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  # Neither TDX nor SEV-SNP machines can be moved while they run.
  scheduling {
    on_host_maintenance         = "TERMINATE"
    automatic_restart           = !local.technology.spot
    preemptible                 = local.technology.spot
    provisioning_model          = local.technology.spot ? "SPOT" : "STANDARD"
    instance_termination_action = local.technology.spot ? "DELETE" : null
  }

  # The machine's own. At its first start it makes what is left behind the image its state partition, encrypted under a
  # key that its TPM releases to the approved image alone: useless to any other machine, and ends with this one.
  disk {
    boot         = true
    auto_delete  = true
    device_name  = "sealed"
    source_image = var.image
    disk_type    = var.disk_type
    disk_size_gb = var.disk_gb
  }

  # Weights volumes, a copy for each machine: Google makes new disks to be written alone, and shares one for reading in one
  # zone only. It matters to nobody: the image looks for a volume by its root hash on whatever disk, opens that to be read,
  # and holds every block against the hash.
  dynamic "disk" {
    for_each = var.weights

    content {
      boot         = false
      auto_delete  = true
      device_name  = "weights-${disk.key}"
      source_image = disk.value
      disk_type    = var.disk_type
    }
  }

  # No access_config: no address of its own. What comes in comes through the balancer, what goes out through the NAT.
  network_interface {
    subnetwork = google_compute_subnetwork.sealed.self_link
    nic_type   = "GVNIC"
    stack_type = "IPV4_ONLY"
  }

  # Roles decide (identity.tf); scopes are a second, coarser lock. Artifact Registry is read under the storage scope.
  service_account {
    email  = google_service_account.sealed.email
    scopes = ["https://www.googleapis.com/auth/devstorage.read_only"]
  }

  metadata = merge(local.refusals, { for name, value in local.attributes : name => value if value != null })

  labels = {
    deployment = var.name
    technology = var.technology
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = can(regex(local.technology.machines, var.machine_type))
      error_message = "machine_type ${var.machine_type} does not run ${var.technology}: it must match ${local.technology.machines}."
    }

    precondition {
      condition     = length(try(var.workload.weights, [])) == length(var.weights)
      error_message = "weights must name one image for each of the workload's weights: a volume that is on no disk keeps a machine from starting."
    }

    precondition {
      condition     = contains(["acme", "embassy"], local.tls_mode)
      error_message = "gateway.tls.mode of the deployment must be acme or embassy: the image has no certificate of its own, and does not serve the network without."
    }
  }
}

resource "google_compute_region_instance_group_manager" "sealed" {
  name                      = var.name
  project                   = var.project
  region                    = var.region
  base_instance_name        = var.name
  description               = "Sealed computation"
  distribution_policy_zones = var.zones

  version {
    instance_template = google_compute_region_instance_template.sealed.self_link
  }

  named_port {
    name = "https"
    port = 443
  }

  # A new machine before an old one goes. With acme it is the other way round: a second machine would never get its
  # certificate, and for some minutes there is none.
  update_policy {
    type                           = var.roll
    minimal_action                 = "REPLACE"
    most_disruptive_allowed_action = "REPLACE"
    replacement_method             = "SUBSTITUTE"
    max_surge_fixed                = local.acme ? 0 : length(var.zones)
    max_unavailable_fixed          = local.acme ? length(var.zones) : 0
  }

  # By liveness: a machine that is not ready may be draining, or getting a certificate. Replacing it loses its state.
  auto_healing_policies {
    health_check      = google_compute_region_health_check.live.self_link
    initial_delay_sec = var.boot_seconds
  }

  # What comes instead of a broken machine is what the template says now.
  instance_lifecycle_policy {
    force_update_on_repair = "YES"
  }

  # No machine before the network is closed: until then everything may leave it. Nor before it can pull.
  depends_on = [
    google_compute_network_firewall_policy_association.sealed,
    google_compute_network_firewall_policy_rule.nothing_else_in,
    google_compute_network_firewall_policy_rule.nothing_else_out,
    google_compute_network_firewall_policy_rule.google_out,
    google_compute_network_firewall_policy_rule.issuers_out,
    google_dns_record_set.google_host,
    google_dns_record_set.google_others,
    google_artifact_registry_repository_iam_member.pull,
  ]

  lifecycle {
    # The autoscaler decides it.
    ignore_changes = [target_size]

    precondition {
      condition     = !local.acme || var.machines.max == 1
      error_message = "gateway.tls.mode acme works for one machine: a challenge would reach another one. Set machines to {min = 1, max = 1}, or tls.mode to embassy with clients that check the attestation instead of a certificate."
    }
  }
}

resource "google_compute_region_autoscaler" "sealed" {
  name    = var.name
  project = var.project
  region  = var.region
  target  = google_compute_region_instance_group_manager.sealed.id

  autoscaling_policy {
    mode            = var.scale_in ? "ON" : "ONLY_SCALE_OUT"
    min_replicas    = var.machines.min
    max_replicas    = var.machines.max
    cooldown_period = var.boot_seconds

    cpu_utilization {
      target = var.cpu_target
    }

    scale_in_control {
      time_window_sec = 1800

      max_scaled_in_replicas {
        fixed = 1
      }
    }
  }
}
