// The relay's process: started by the embassy as root, loads, binds, drops to its own user. From then on it can reach
// two sockets and the replicas' ports, and read no file of anybody's.
import { listen } from '../server/listen.ts'
import { relayDoors } from './app.ts'
import { EmbassyClient } from './embassy-client.ts'
import { loadHttpClient } from './load-http-client.ts'
import { type ReachQuestion, reachOf } from './reach.ts'
import { WorkloadClient } from './workload-client.ts'

const { SEALED_EMBASSY_SOCKET, SEALED_INGRESS_SOCKET, SEALED_GATEWAY_GID, SEALED_RELAY_UID } =
  process.env
const [embassySocket, ingressSocket, gatewayGid, relayUid] = [
  SEALED_EMBASSY_SOCKET!,
  SEALED_INGRESS_SOCKET!,
  Number(SEALED_GATEWAY_GID),
  Number(SEALED_RELAY_UID),
]

const app = relayDoors({
  embassy: new EmbassyClient(embassySocket),
  workload: new WorkloadClient(),
})
await listen(app, ingressSocket, gatewayGid)
await loadHttpClient(`${ingressSocket}.load`)
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
