# Who the machines are towards Google: one account that reads one repository, and nothing more: they send neither logs nor
# metrics. It has no key; its token comes from the metadata server.

resource "google_service_account" "sealed" {
  project      = var.project
  account_id   = var.name
  display_name = "Machines of ${var.name}"
}

resource "google_artifact_registry_repository_iam_member" "pull" {
  project    = var.project
  location   = var.repository.location
  repository = var.repository.id
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.sealed.member
}
