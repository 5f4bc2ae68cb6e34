# What is kept about the machines from outside: who changed what, whether they answered, what was kept from leaving. All of
# it is written by Google, about them: what services say on the machine goes to a journal in memory that ends with the
# boot, there is no agent that would send it, and no serial port. By name, so that a log that somebody turns on later is
# not kept with it.

locals {
  kept_logs = [
    "cloudaudit.googleapis.com/activity",
    "cloudaudit.googleapis.com/system_event",
    "cloudaudit.googleapis.com/policy",
    "compute.googleapis.com/firewall",
    "compute.googleapis.com/healthchecks",
    "compute.googleapis.com/shielded_vm_integrity",
  ]
}

resource "google_logging_project_bucket_config" "sealed" {
  project        = var.project
  location       = var.region
  bucket_id      = var.name
  retention_days = var.retention_days
  description    = "Sealed computation: changes, health, denied egress"
}

resource "google_logging_project_sink" "sealed" {
  name                   = var.name
  project                = var.project
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.sealed.id}"
  filter                 = join(" OR ", [for log in local.kept_logs : "log_id(\"${log}\")"])
  unique_writer_identity = true

  # Belt and braces, should somebody name a log above that has them: what a machine prints or serves is contents.
  exclusions {
    name   = "contents"
    filter = "log_id(\"serialconsole.googleapis.com/serial_port_1_output\") OR httpRequest.requestUrl:* OR textPayload:*"
  }
}
