# What is uploaded before any machine starts: the disk image of the Nix build, with the Secure Boot keys that its UKI is
# signed for, and the registry that workloads are pulled from. Nothing secret passes through here: the key that signs UKIs
# stays where images are released.

locals {
  digest = filesha256(var.disk_archive)

  # With the keys: the same disk under other keys is another image.
  identity = sha256(join(" ", [
    for file in [var.disk_archive, "${var.keys}/PK.esl", "${var.keys}/KEK.esl", "${var.keys}/db.esl", "${var.keys}/dbx.esl"] :
    filesha256(file)
  ]))
}

resource "google_storage_bucket" "images" {
  name                        = "${var.project}-${var.name}-images"
  project                     = var.project
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }
}

# Named by its digest: another archive is another object, and nobody finds other bytes under a name that was published.
resource "google_storage_bucket_object" "disk" {
  name         = "${local.digest}.tar.gz"
  bucket       = google_storage_bucket.images.name
  source       = var.disk_archive
  content_type = "application/gzip"

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_image" "sealed" {
  name              = "${var.name}-${substr(local.identity, 0, 16)}"
  project           = var.project
  family            = var.name
  description       = "Sealed computation ${var.release}; archive sha256 ${local.digest}"
  storage_locations = [var.region]

  raw_disk {
    source = "https://storage.googleapis.com/${google_storage_bucket.images.name}/${google_storage_bucket_object.disk.name}"
  }

  guest_os_features {
    type = "UEFI_COMPATIBLE"
  }

  guest_os_features {
    type = "GVNIC"
  }

  guest_os_features {
    type = "SEV_SNP_CAPABLE"
  }

  guest_os_features {
    type = "TDX_CAPABLE"
  }

  # Our own keys and no others: firmware loads what they signed. All four as signature lists, byte for byte as nix/keys made
  # them, for PCR 7 is a hash over these very bytes, and the key of the state partition is released at the values that
  # nix/sign predicted of PCRs 4, 7, 9, 11 and 12, and at no others. A certificate (X509) would get a list around it that
  # the cloud makes, with an owner of its choice; a dbx that is left out is filled with what the cloud forbids. Either way
  # the machine would start and never open a state.
  shielded_instance_initial_state {
    pk {
      content   = filebase64("${var.keys}/PK.esl")
      file_type = "BIN"
    }

    keks {
      content   = filebase64("${var.keys}/KEK.esl")
      file_type = "BIN"
    }

    dbs {
      content   = filebase64("${var.keys}/db.esl")
      file_type = "BIN"
    }

    dbxs {
      content   = filebase64("${var.keys}/dbx.esl")
      file_type = "BIN"
    }
  }

  lifecycle {
    # The instance template moves to the new image before the old one goes; machines that run need neither.
    create_before_destroy = true
  }
}

resource "google_artifact_registry_repository" "workloads" {
  project       = var.project
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  description   = "Images of workloads, pulled by digest"

  docker_config {
    immutable_tags = true
  }
}
