// A workload that does nothing quickly.
import { openAiServer, serve } from '../server/openai-server.ts'
import { noopWorkload } from './workload.ts'

serve(openAiServer(noopWorkload))
