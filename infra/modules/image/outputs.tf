output "image" {
  description = "Self link of the image, for the fleet."
  value       = google_compute_image.sealed.self_link
}

output "archive_digest" {
  description = "SHA-256 of the archive that was uploaded; whoever has the same release has the same."
  value       = local.digest
}

output "repository" {
  description = "The registry of workloads: what the fleet may read."
  value = {
    id       = google_artifact_registry_repository.workloads.repository_id
    location = google_artifact_registry_repository.workloads.location
  }
}

output "registry" {
  description = "What a workload's image is pushed below: docker push HERE/NAME."
  value       = "${google_artifact_registry_repository.workloads.location}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.workloads.repository_id}"
}
