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
  description = "Path of a .tar.gz that holds the image build's disk.raw under exactly that name."

  validation {
    condition     = endswith(var.disk_archive, ".tar.gz")
    error_message = "disk_archive must be a .tar.gz with disk.raw in it: tar --format=oldgnu -Sczf disk.tar.gz disk.raw."
  }
}

variable "keys" {
  type        = string
  description = "Path of the image build's keys directory, with PK.der, KEK.der and db.der: the public halves."
}

variable "forbidden" {
  type        = list(string)
  description = "Paths of EFI signature lists (.esl) for dbx: UKIs that these keys signed and that must not boot again."
  default     = []
}

variable "release" {
  type        = string
  description = "What the release is called, for people who read the image's description."
}
