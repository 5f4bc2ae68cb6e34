// The demo workload: a small language model behind OpenAI's paths.
import { join } from 'node:path'
import { openAiServer, serve } from '../server/openai-server.ts'
import { loadModel } from './model.ts'
import { demoWorkload } from './workload.ts'

const directory = process.env.MODEL_DIR ?? join(import.meta.dirname, '..', 'model')

serve(openAiServer(demoWorkload(loadModel(directory))))
