# What Cloudflare must have beside the Worker: the name of the VM, who may issue for it, and the name of the edge. The
# Worker itself, its code, settings and secret, is wrangler's: wrangler.toml at the root, deployed before this, since a
# custom domain needs a Worker to point to.

# Not proxied: TLS of this name ends in the VM and nowhere before it.
resource "cloudflare_dns_record" "origin" {
  zone_id = var.zone_id
  name    = var.origin
  type    = "A"
  content = var.address
  ttl     = 300
  proxied = false
  comment = "Gateway of the sealed fleet"
}

# Only this authority, and only by a challenge that is answered on 443 of the address above (RFC 8659, RFC 8657). It keeps
# out other authorities and other proofs of a name, not those who may change these records. The account cannot be bound:
# it is born in the VM.
resource "cloudflare_dns_record" "issuer" {
  zone_id = var.zone_id
  name    = var.origin
  type    = "CAA"
  ttl     = 300
  comment = "Who may issue for the gateway"
  data = {
    flags = 128
    tag   = "issue"
    value = "${var.issuer}; validationmethods=tls-alpn-01"
  }
}

# Record and certificate of the edge's own name, and the route to the Worker.
resource "cloudflare_workers_custom_domain" "edge" {
  count = var.edge == null ? 0 : 1

  account_id = var.account_id
  zone_id    = var.zone_id
  hostname   = var.edge
  service    = var.worker
}
