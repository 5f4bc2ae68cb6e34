// A workload that misbehaves on request, one way at a time; asked for nothing, it answers well. The first import is the
// first thing it does: it connects out.
import './connect-out.ts'
import { openAiServer, serve } from '../server/openai-server.ts'
import { holdAtStart } from './sockets.ts'
import { hostileWorkload } from './workload.ts'

await holdAtStart()
serve(openAiServer(hostileWorkload))
