variable "project" {
  type        = string
  description = "Id of the Google Cloud project."
}

variable "region" {
  type        = string
  description = "Region that holds the bucket, the image and the registry, such as europe-west4."
}

variable "name" {
  type        = string
  description = "What everything of this deployment is called; a prefix of names."
  default     = "sealed"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.name))
    error_message = "name must be 1 to 20 lower-case letters, digits and hyphens, a letter first: it becomes part of names that Google limits."
  }
}

variable "disk_archive" {
  type        = string
  description = "Path of a .tar.gz that holds the signed disk.raw under exactly that name, its size a whole number of GiB (truncate --size=%1G)."

  validation {
    condition     = endswith(var.disk_archive, ".tar.gz")
    error_message = "disk_archive must be a .tar.gz with disk.raw in it: tar --format=oldgnu -Sczf image.tar.gz disk.raw."
  }
}

variable "keys" {
  type        = string
  description = "Path of what nix/keys made for whoever deploys: PK.esl, KEK.esl, db.esl and dbx.esl, the very lists that the disk was signed with (nix/sign). No *.key belongs there."
}

variable "release" {
  type        = string
  description = "What the release is called, for people who read the image's description."
}
