# An external pass-through balancer: packets reach a machine as the client sent them, and TLS ends inside the machine. They
# name the balancer's address, which elsewhere a guest agent makes the machine's own. The image needs none: it takes what
# comes in by its card for TCP 443, whatever address that names (nix/services.nix), and probes are no different.

resource "google_compute_address" "sealed" {
  name         = var.name
  project      = var.project
  region       = var.region
  address_type = "EXTERNAL"
  network_tier = "PREMIUM"
}

# Ready: may have new connections. A machine that drains or waits for its certificate is alive and not ready. Google's
# probes check no certificate.
resource "google_compute_region_health_check" "ready" {
  name                = "${var.name}-ready"
  project             = var.project
  region              = var.region
  check_interval_sec  = 5
  timeout_sec         = 5
  healthy_threshold   = 2
  unhealthy_threshold = 2

  https_health_check {
    port         = 443
    request_path = "/health/ready"
  }

  log_config {
    enable = true
  }
}

resource "google_compute_region_health_check" "live" {
  name                = "${var.name}-live"
  project             = var.project
  region              = var.region
  check_interval_sec  = 10
  timeout_sec         = 10
  healthy_threshold   = 1
  unhealthy_threshold = 6

  https_health_check {
    port         = 443
    request_path = "/health/live"
  }

  log_config {
    enable = true
  }
}

resource "google_compute_region_backend_service" "sealed" {
  name                            = var.name
  project                         = var.project
  region                          = var.region
  protocol                        = "TCP"
  load_balancing_scheme           = "EXTERNAL"
  health_checks                   = [google_compute_region_health_check.ready.id]
  connection_draining_timeout_sec = var.drain_seconds

  # Each machine has keys, receipts and a log of its own: a client stays with the one whose attestation it has seen. A
  # stream that is under way stays where it is when its machine takes nothing new: the default for TCP.
  session_affinity = "CLIENT_IP"

  backend {
    group          = google_compute_region_instance_group_manager.sealed.instance_group
    balancing_mode = "CONNECTION"
  }
}

resource "google_compute_forwarding_rule" "sealed" {
  name                  = var.name
  project               = var.project
  region                = var.region
  ip_protocol           = "TCP"
  ports                 = ["443"]
  load_balancing_scheme = "EXTERNAL"
  network_tier          = "PREMIUM"
  ip_address            = google_compute_address.sealed.id
  backend_service       = google_compute_region_backend_service.sealed.id
}
