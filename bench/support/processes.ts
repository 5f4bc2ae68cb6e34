// The processes that a request passes through, and what each has spent.
import type { Instance } from '../../scripts/up.ts'
import { childOf, cpuMs, endedChildrenMs } from './cpu.ts'

export interface Process {
  readonly name: string
  /** Milliseconds on a CPU until now. */
  readonly spentMs: () => number
  /** Whether it is this project's; what stands for the TPM is not. */
  readonly ours: boolean
}

export function processesOf(instance: Instance): Process[] {
  const embassy = instance.embassy.pid!
  const relay = childOf(embassy, 'relay/main.ts')
  const watch = childOf(embassy, 'nft monitor')
  // The firewall process is replaced now and then: those before it count too.
  const firewall = () => cpuMs(childOf(embassy, 'nft -i')) + endedChildrenMs(embassy)
  return [
    { name: 'gateway', spentMs: () => cpuMs(instance.gateway.pid!), ours: true },
    { name: 'relay', spentMs: () => cpuMs(relay), ours: true },
    { name: 'embassy', spentMs: () => cpuMs(embassy), ours: true },
    { name: 'nft (firewall)', spentMs: firewall, ours: true },
    { name: 'nft (its watch)', spentMs: () => cpuMs(watch), ours: true },
    { name: 'swtpm (stands for the TPM)', spentMs: () => cpuMs(instance.tpmPid!), ours: false },
  ]
}
