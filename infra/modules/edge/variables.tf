variable "account_id" {
  type        = string
  description = "Cloudflare account that has the Worker."
}

variable "zone_id" {
  type        = string
  description = "Cloudflare zone of both names."
}

variable "origin" {
  type        = string
  description = "Name of the VM's gateway, as in gateway.tls.names and SEALED_ORIGIN."
}

variable "address" {
  type        = string
  description = "Address of the balancer: module fleet's output."
}

variable "issuer" {
  type        = string
  description = "CAA name of the only authority that may issue for the gateway."
  default     = "letsencrypt.org"
}

variable "edge" {
  type        = string
  description = "Name of the edge; null for none."
  default     = null
}

variable "worker" {
  type        = string
  description = "The Worker's name: name in wrangler.toml."
  default     = "sealed-edge"
}
