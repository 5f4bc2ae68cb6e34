// The processes that a request passes through, and what each has spent.
import type { Instance } from '../../scripts/up.ts'
import { accountOf, childOf, endedChildrenMs } from './cpu.ts'

export interface Process {
  readonly name: string
  /** Milliseconds on a CPU until now. */
  readonly spentMs: () => number
  /** Whether it is this project's; what stands for the TPM is not. */
  readonly ours: boolean
}

export function processesOf(instance: Instance): Process[] {
  const embassy = instance.embassy.pid!
  const ours = (name: string, spentMs: () => number) => ({ name, spentMs, ours: true })
  return [
    ours('gateway', accountOf(instance.gateway.pid!)),
    ours('relay', accountOf(childOf(embassy, 'relay/main.ts'))),
    ours('embassy', accountOf(embassy)),
    ours('nft (firewall)', replaced(embassy, 'nft -i')),
    ours('nft (its watch)', accountOf(childOf(embassy, 'nft monitor'))),
    { name: 'swtpm (stands for the TPM)', spentMs: accountOf(instance.tpmPid!), ours: false },
  ]
}

/** Of a child that is replaced now and then, and of those before it. */
function replaced(parent: number, words: string): () => number {
  let account = accountOf(childOf(parent, words))
  return () => {
    try {
      return account() + endedChildrenMs(parent)
    } catch {
      account = accountOf(childOf(parent, words))
      return account() + endedChildrenMs(parent)
    }
  }
}
