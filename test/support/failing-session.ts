// What is expected of a session that its workload spoilt: the same words at both doors, a receipt that says why, and
// never again a session on the replica it ran on.
import { decodeReceipt } from '@sealed/protocol'
import { expect } from 'vitest'
import { abortOf, statementOf, typesOf, type World } from './instance.ts'

/** A text that is written as a signature, so that one session with it moves the meter by exactly 1.0. */
export const SAMPLE = 'a sample that is written'
export const CAPABILITY = 'sample'

export interface Expected {
  code: string
  /** What the log may say of it. */
  reasons: readonly string[]
}

export class Failures {
  readonly #world: () => World
  /** Replica and generation of every session that its workload failed. */
  readonly spent = new Set<string>()

  constructor(world: () => World) {
    this.#world = world
  }

  /** Asks through the plain door for something that must fail so. */
  async plain(behave: unknown, expected: Expected): Promise<void> {
    const reply = await this.#world().chat(SAMPLE, { behave })
    expect({ status: reply.status, code: reply.code }).toEqual({ status: 424, code: expected.code })
    // Nothing that an SDK takes for an invitation to send it again.
    expect(reply.headers.get('x-should-retry')).toBe('false')
    expect(reply.headers.has('retry-after')).toBe(false)
    expect(reply.receipt).toBeDefined()
    expect(reply.headers.get('sealed-receipt-id')).toBe(decodeReceipt(reply.receipt!).leaf.session)
    this.#aborted(reply.receipt!, expected)
  }

  /** Asks through the envelope door; the client library verifies the receipt of the failure. */
  async sealed(behave: unknown, expected: Expected): Promise<void> {
    const failure = await this.#world().askToFail(SAMPLE, { extra: { behave } })
    const { status, code, verdict, evidence } = failure
    expect({ status, code }).toEqual({ status: 424, code: expected.code })
    expect(verdict?.claims.result).toBe('aborted')
    expect(verdict?.checks.filter(({ result }) => result === 'fail')).toEqual([])
    this.#aborted(evidence!.receipt!, expected)
  }

  #aborted(receipt: string, { reasons }: Expected): void {
    expect(reasons).toContain(abortOf(receipt))
    const types = typesOf(receipt)
    expect(
      types.filter((type) => type === 'output.committed' || type === 'registry.applied'),
    ).toEqual([])
    const replica = replicaOf(receipt)
    expect(this.spent).not.toContain(replica)
    // It answered that it will not: whoever asks it that may not have it destroyed.
    if (abortOf(receipt) !== 'workload.refused') this.spent.add(replica)
  }

  /** An answer came from a replica on which nothing ever failed. */
  expectFresh(receipt: string): void {
    expect(this.spent).not.toContain(replicaOf(receipt))
  }
}

export const replicaOf = (receipt: string): string => {
  const { replica, generation } = statementOf(receipt, 'seal.enforced')
  return `${replica}/${generation}`
}
