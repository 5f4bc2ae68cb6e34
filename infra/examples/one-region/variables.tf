variable "project" {
  type        = string
  description = "Id of the Google Cloud project. One of its own: who may change this project is who operates the fleet."
}

variable "region" {
  type        = string
  description = "Region. TDX and SEV-SNP are not in all of them."
}

variable "zones" {
  type        = list(string)
  description = "Zones of the region that have the machine type."
}

variable "name" {
  type        = string
  description = "What everything is called: 6 to 20 lower-case letters, digits, hyphens."
  default     = "sealed"
}

variable "release" {
  type        = string
  description = "What the image's release is called."
}

variable "disk_archive" {
  type        = string
  description = "The signed disk.raw, rounded up to whole GiB, in a .tar.gz: tar --format=oldgnu -Sczf image.tar.gz disk.raw."
}

variable "keys" {
  type        = string
  description = "Directory with PK.esl, KEK.esl, db.esl and dbx.esl of nix/keys, and no private key."
}

variable "technology" {
  type        = string
  description = "tdx, sev_snp or tdx_h100_untested. Prefer tdx where the cloud provider is among those you guard against (SECURITY.md)."
  default     = "tdx"
}

variable "machine_type" {
  type        = string
  description = "c3-standard-N for tdx, n2d-standard-N for sev_snp, a3-highgpu-1g for tdx_h100_untested."
  default     = "c3-standard-8"
}

variable "disk_gb" {
  type        = number
  description = "Size of each machine's disk, at least 10: less than 1 GiB is the image, the rest the encrypted state."
  default     = 50
}

variable "weights" {
  type        = list(string)
  description = "Images of weights volumes, by self link (README, Weights); [] where weights are in the workload's image."
  default     = []
}

variable "machines" {
  type = object({
    min = number
    max = number
  })
  description = "How many. More than one needs tls.mode embassy; an edge stands in front of one."
  default     = { min = 1, max = 1 }
}

variable "roll" {
  type        = string
  description = "PROACTIVE, or OPPORTUNISTIC to replace machines one by one by hand."
  default     = "PROACTIVE"
}

variable "host" {
  type        = string
  description = "Name of the gateway, as in gateway.tls.names of the deployment."
}

variable "reach" {
  type = list(object({
    name = string
    port = number
  }))
  description = "The ACME directory of the deployment, which the gateway must reach for its certificate; [] with tls.mode embassy."
  default     = [{ name = "acme-v02.api.letsencrypt.org", port = 443 }]
}

variable "workload_image" {
  type        = string
  description = "REGISTRY/REPO@sha256:DIGEST of the workload, below the registry that this makes."
}

variable "workload_command" {
  type        = list(string)
  description = "Command of the workload; [] for the image's own."
  default     = []
}

variable "workload_env" {
  type        = map(string)
  description = "Environment of the workload; measured, readable, no secrets."
  default     = {}
}

variable "workload" {
  type        = string
  description = "Path of the JSON file with the other members of workload.json."
}

variable "deployment" {
  type        = string
  description = "Path of the JSON file with authorities, metering, replicas, limits, witnesses, TLS and API key digests."
}

variable "alert_emails" {
  type        = list(string)
  description = "Who is told when something is wrong."
  default     = []
}

variable "cloudflare" {
  type = object({
    account_id = string
    zone_id    = string
    edge       = optional(string)
  })
  description = "Cloudflare account and zone of host, and the name of the edge if there is to be one; null to keep DNS elsewhere."
  default     = null
}
