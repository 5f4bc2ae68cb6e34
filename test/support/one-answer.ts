// Starts the instance of the clone that this file lies in, asks once through the plain door, prints the status.
import { up } from '../../scripts/up.ts'

const instance = await up(process.argv[2]!, { workload: 'noop' })
try {
  const { status } = await fetch(`${instance.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"noop","messages":[{"role":"user","content":"hello"}]}',
  })
  process.stdout.write(`${status}\n`)
} finally {
  await instance.stop()
}
