# One region, whole: image, fleet and, where a Cloudflare zone is named, DNS and edge. Copy it and keep its state where
# only those who deploy can read and write it: terraform init -backend-config=bucket=NAME.

terraform {
  required_version = ">= 1.9.0"

  backend "gcs" {
    prefix = "sealed"
  }

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "6.50.0"
    }
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "5.14.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

# The token comes from CLOUDFLARE_API_TOKEN.
provider "cloudflare" {}

# Left on when this is destroyed: others in the project may use them.
resource "google_project_service" "needed" {
  for_each = toset(["artifactregistry", "compute", "dns", "iam", "logging", "monitoring", "storage"])

  project            = var.project
  service            = "${each.value}.googleapis.com"
  disable_on_destroy = false
}

module "image" {
  source = "../../modules/image"

  project      = var.project
  region       = var.region
  name         = var.name
  release      = var.release
  disk_archive = var.disk_archive
  keys         = var.keys

  depends_on = [google_project_service.needed]
}

module "fleet" {
  source = "../../modules/fleet"

  project      = var.project
  region       = var.region
  zones        = var.zones
  name         = var.name
  image        = module.image.image
  repository   = module.image.repository
  technology   = var.technology
  machine_type = var.machine_type
  disk_gb      = var.disk_gb
  weights      = var.weights
  machines     = var.machines
  roll         = var.roll
  host         = var.host
  reach        = var.reach
  alert_emails = var.alert_emails

  workload_image   = var.workload_image
  workload_command = var.workload_command
  workload_env     = var.workload_env
  workload         = jsondecode(file(var.workload))
  deployment       = jsondecode(file(var.deployment))

  depends_on = [google_project_service.needed]
}

module "edge" {
  source = "../../modules/edge"
  count  = var.cloudflare == null ? 0 : 1

  account_id = var.cloudflare.account_id
  zone_id    = var.cloudflare.zone_id
  origin     = var.host
  address    = module.fleet.address
  edge       = var.cloudflare.edge
}
