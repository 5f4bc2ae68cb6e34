output "origin" {
  description = "What SEALED_ORIGIN must be when the Worker is deployed."
  value       = "https://${cloudflare_dns_record.origin.name}"
}

output "edge" {
  description = "Where clients with the library find the edge; null for none."
  value       = one([for domain in cloudflare_workers_custom_domain.edge : "https://${domain.hostname}"])
}
