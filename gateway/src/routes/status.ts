// GET /v1/status: what is served here and how it is, as a page for people or as JSON. Nothing in it is secret and nothing
// proven: the page says where proof is.
import type { Overview } from '@sealed/protocol'
import { Hono } from 'hono'
import { html, raw } from 'hono/html'
import { accepts } from '../accept.ts'
import type { AppEnv, EmbassyClient } from '../deps.ts'
import { notAllowed } from './not-allowed.ts'

/** No script, no request of the page's own. */
const CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

export const status = (embassy: EmbassyClient) =>
  new Hono<AppEnv>()
    .get('/', async (c) => {
      const overview = await embassy.overview(c.req.raw.signal)
      c.header('cache-control', 'no-store')
      c.header('vary', 'accept')
      if (!accepts(c.req.header('accept'), 'text/html')) return c.json(overview)
      c.header('content-security-policy', CSP)
      return c.html(page(overview))
    })
    .all('/', notAllowed('GET'))

const STYLE =
  raw(`body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884}
code{overflow-wrap:anywhere}.no{color:#b00020}`)

const page = ({
  attestation,
  checkpoint,
  metering,
  ready,
  reason,
  workloads,
}: Overview) => html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sealed computation</title>
<style>${STYLE}</style></head>
<body>
<h1>Sealed computation</h1>
<p>${ready ? 'Serving.' : html`<strong class="no">Not serving: ${reason}.</strong>`}</p>
<table>
<thead><tr><th>workload</th><th>models</th><th>endpoints</th><th>seal</th><th>replicas</th><th>waiting</th></tr></thead>
<tbody>${workloads.map(
  (one) => html`
<tr><td>${one.name}</td><td>${one.models.join(', ')}</td><td>${one.endpoints.join(', ')}</td><td>${one.seal_policy}</td>
<td>${one.replicas_ready} of ${one.replicas}, ${one.replicas_idle} idle</td><td>${one.waiting}</td></tr>`,
)}</tbody>
</table>
<p>Metering: ${metering}.</p>
<p>Attestation: ${attestation.evidence.join(', ') || 'none: nothing is sealed or attested on this machine'}; document <code>${attestation.document}</code>.</p>
<p>Log: ${
  checkpoint
    ? html`<code>${checkpoint.origin}</code>, ${checkpoint.size} leaves, last checkpoint ${new Date(checkpoint.utc_ms).toISOString()}.`
    : 'no checkpoint yet.'
}</p>
<p>This is what the machine says of itself. To check it, ask for its <a href="attestation">attestation</a> with
<code>sealed attestation</code>, and verify a receipt with <code>sealed verify</code>.</p>
</body>
</html>
`
