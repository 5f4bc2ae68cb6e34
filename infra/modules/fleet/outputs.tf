output "address" {
  description = "Where the fleet is reached: what the name of the gateway points to."
  value       = google_compute_address.sealed.address
}

output "group" {
  description = "The managed instance group, for gcloud compute instance-groups managed."
  value       = google_compute_region_instance_group_manager.sealed.name
}

output "template" {
  description = "The template that new machines are made from; its metadata is what they measure."
  value       = google_compute_region_instance_template.sealed.self_link
}

output "service_account" {
  description = "Who the machines are towards Google."
  value       = google_service_account.sealed.email
}

output "log_bucket" {
  description = "Where changes, health and denied egress are kept."
  value       = google_logging_project_bucket_config.sealed.id
}
