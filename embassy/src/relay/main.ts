// The relay's process: started by the embassy as root, loads, binds, drops to its own user. From then on it can reach
// two sockets and the replicas' ports, and read no file of anybody's.
import { EmbassyClient } from './embassy-client.ts'
import { listenForRequests } from './ingress.ts'
import { loadHttpClient } from './load-http-client.ts'
import { type ReachQuestion, reachOf } from './reach.ts'
import { WorkloadClient } from './workload-client.ts'

const { env } = process
const relayUid = Number(env.SEALED_RELAY_UID)
const path = env.SEALED_INGRESS_SOCKET!
await listenForRequests(
  { embassy: new EmbassyClient(env.SEALED_EMBASSY_SOCKET!), workload: new WorkloadClient() },
  { path, gid: Number(env.SEALED_GATEWAY_GID), bodyBytes: Number(env.SEALED_BODY_BYTES) },
)
await loadHttpClient(`${path}.load`)
if (process.getuid!() === 0) {
  process.setgroups!([])
  process.setgid!(relayUid)
  process.setuid!(relayUid)
}
process.on('disconnect', () => process.exit(1))
process.on('message', (question: ReachQuestion) => {
  void reachOf(question).then((reached) => process.send?.({ question: question.question, reached }))
})
process.send?.('ready')
