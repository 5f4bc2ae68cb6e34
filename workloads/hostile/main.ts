// A workload that misbehaves on request, one way at a time; asked for nothing, it answers well. The first thing it does
// is to connect out: all else is loaded after that, so that no import delays it.
import './connect-out.ts'

const { holdAtStart } = await import('./sockets.ts')
const { openAiServer, serve } = await import('../server/openai-server.ts')
const { hostileWorkload } = await import('./workload.ts')

await holdAtStart()
serve(openAiServer(hostileWorkload))
