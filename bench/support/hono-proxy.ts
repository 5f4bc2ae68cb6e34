// A bare proxy on Hono, as one would write it: PORT and TARGET say where it listens and what is behind it.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { proxy } from 'hono/proxy'

const app = new Hono()
app.all('*', (c) => proxy(`${process.env.TARGET}${c.req.path}`, { raw: c.req.raw }))
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT) })
