# What is kept about the machines from outside: who changed what, whether they answered, what was kept from leaving. By
# name, so that a log that somebody turns on later is not kept with it. Contents are in none of these; the image has no
# agent, and the gateway's own records hold none either (gateway/README.md).

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

  # Belt and braces: what a machine prints or serves is contents, whatever log it comes in.
  exclusions {
    name   = "contents"
    filter = "log_id(\"serialconsole.googleapis.com/serial_port_1_output\") OR httpRequest.requestUrl:* OR textPayload:*"
  }
}
