variable "project" {
  type        = string
  description = "Id of the Google Cloud project."
}

variable "region" {
  type        = string
  description = "Region of the fleet."
}

variable "zones" {
  type        = list(string)
  description = "Zones of the region that have machines of this technology: not all do (gcloud compute machine-types list)."

  validation {
    condition     = length(var.zones) > 0
    error_message = "zones must name at least one zone."
  }
}

variable "name" {
  type        = string
  description = "What everything of this fleet is called; a prefix of names."
  default     = "sealed"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{5,19}$", var.name))
    error_message = "name must be 6 to 20 lower-case letters, digits and hyphens, a letter first: it is also the service account's id."
  }
}

variable "image" {
  type        = string
  description = "Self link of the measured image: module image's output."
}

variable "repository" {
  type = object({
    id       = string
    location = string
  })
  description = "The registry that the machines may read: module image's output."
}

variable "technology" {
  type        = string
  description = "tdx (C3; the processor measures what booted), sev_snp (N2D; the TPM's word for what booted), or tdx_h100_untested (A3, Spot; the GPU is not attested)."
  default     = "tdx"

  validation {
    condition     = contains(["tdx", "sev_snp", "tdx_h100_untested"], var.technology)
    error_message = "technology must be tdx, sev_snp or tdx_h100_untested: there is none without confidential computing."
  }
}

variable "machine_type" {
  type        = string
  description = "Machine type of the technology's family: c3-standard-N, n2d-standard-N or a3-highgpu-1g."
  default     = "c3-standard-8"
}

variable "disk_type" {
  type        = string
  description = "Type of the disk; C3 and A3 take pd-balanced, pd-ssd or a Hyperdisk."
  default     = "pd-balanced"
}

variable "disk_gb" {
  type        = number
  description = "Size of the one disk of a machine. Less than 1 GiB is the image; all that is left becomes the encrypted state: the workload's image, packed and unpacked, and ledger, meters and receipts."
  default     = 50

  validation {
    condition     = var.disk_gb >= 10 && floor(var.disk_gb) == var.disk_gb
    error_message = "disk_gb must be a whole number, at least 10: the least that Google makes of these disks."
  }
}

variable "weights" {
  type        = list(string)
  description = "Self links of images that hold the workload's weights volumes (sealed weights pack), in any order; each machine gets a disk of each. The image's label sealed.weights must allow what the workload names."
  default     = []

  validation {
    condition     = length(var.weights) <= 8
    error_message = "weights must be at most 8, as many as a workload names."
  }
}

variable "machines" {
  type = object({
    min = number
    max = number
  })
  description = "How many machines, at least and at most. Each has its own keys, log, meters and receipts."
  default     = { min = 1, max = 1 }

  validation {
    condition     = var.machines.min >= 1 && var.machines.max >= var.machines.min
    error_message = "machines must have min of at least 1, and max of at least min."
  }
}

variable "scale_in" {
  type        = bool
  description = "Whether the autoscaler may also take machines away. Each one's log, meters and receipts end with it."
  default     = false
}

variable "cpu_target" {
  type        = number
  description = "Mean CPU use above which the autoscaler adds a machine."
  default     = 0.6
}

variable "roll" {
  type        = string
  description = "PROACTIVE: a new template replaces the machines by itself. OPPORTUNISTIC: only those that you replace."
  default     = "PROACTIVE"

  validation {
    condition     = contains(["PROACTIVE", "OPPORTUNISTIC"], var.roll)
    error_message = "roll must be PROACTIVE or OPPORTUNISTIC."
  }
}

variable "boot_seconds" {
  type        = number
  description = "How long a new machine may take from its start to its first healthy answer: boot, pull of the workload, certificate."
  default     = 900
}

variable "drain_seconds" {
  type        = number
  description = "How long connections of a machine that leaves are kept: at least grace_ms of the deployment."
  default     = 120

  validation {
    condition     = var.drain_seconds >= 0 && var.drain_seconds <= 3600
    error_message = "drain_seconds must be 0 to 3600."
  }
}

variable "range" {
  type        = string
  description = "Addresses of the subnetwork."
  default     = "10.71.0.0/24"
}

variable "clients" {
  type        = list(string)
  description = "Who may connect to 443. Narrowing it also keeps out the uptime check and, with acme, the certificate authority."
  default     = ["0.0.0.0/0"]
}

variable "reach" {
  type = list(object({
    name = string
    port = number
  }))
  description = "Hosts that gateway and embassy themselves must reach, by name: the ACME directory. Witnesses are taken from the deployment."
  default     = []
}

variable "host" {
  type        = string
  description = "Name under which clients reach the fleet, for the uptime check; without one it asks the address."
  default     = null
}

variable "workload_image" {
  type        = string
  description = "The workload's image by manifest digest, in the registry that the machines may read."

  validation {
    condition     = can(regex("^[a-z0-9]+([.-][a-z0-9]+)*[.][a-z0-9]+(/[a-z0-9]+([._-][a-z0-9]+)*)+@sha256:[0-9a-f]{64}$", var.workload_image))
    error_message = "workload_image must be REGISTRY/REPO@sha256:DIGEST, in lower case and without a port: a tag can be moved, and what moves cannot be measured beforehand."
  }
}

variable "workload_command" {
  type        = list(string)
  description = "The workload's command; empty for the image's own. The image's label sealed.allow_command_override must allow it."
  default     = []
}

variable "workload_env" {
  type        = map(string)
  description = "The workload's environment: names that the image's label sealed.allow_env_override lists. It is measured and anyone who reads the project reads it: no secrets."
  default     = {}
}

variable "workload" {
  type        = any
  description = "workload.json without image, command and env (protocol/schemas/workload.schema.json): name, models, endpoints, egress and so on."
}

variable "deployment" {
  type        = any
  description = "What the image takes of an operator (protocol/schemas/sealed-deployment.schema.json): authorities, metering, replicas, limits, witnesses, TLS of the gateway, digests of API keys."
}

variable "retention_days" {
  type        = number
  description = "How long the log bucket keeps what the sink brings."
  default     = 400
}

variable "alert_emails" {
  type        = list(string)
  description = "Who is told."
  default     = []
}
