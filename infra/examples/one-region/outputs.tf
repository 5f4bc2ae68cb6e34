output "registry" {
  description = "Push workload images below this."
  value       = module.image.registry
}

output "archive_digest" {
  description = "SHA-256 of the archive that the machines boot from."
  value       = module.image.archive_digest
}

output "address" {
  description = "Where host must point."
  value       = module.fleet.address
}

output "group" {
  description = "The managed instance group."
  value       = module.fleet.group
}

output "template" {
  description = "What new machines are made from."
  value       = module.fleet.template
}

output "service_account" {
  description = "Who the machines are towards Google."
  value       = module.fleet.service_account
}

output "log_bucket" {
  description = "Where changes, health and denied egress are kept."
  value       = module.fleet.log_bucket
}

output "edge" {
  description = "Where the edge is; null for none."
  value       = one(module.edge[*].edge)
}

output "sealed_origin" {
  description = "SEALED_ORIGIN for wrangler; null without Cloudflare."
  value       = one(module.edge[*].origin)
}
