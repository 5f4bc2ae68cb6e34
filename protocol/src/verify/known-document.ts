// An attestation document that is judged once and then serves many receipts: chain, quote, log and configuration are the
// same for every session of a boot. It holds its own copies of document and policy, and nothing that it found comes from
// outside, so that no receipt is judged by facts of another document, another policy or another time.
import type { AttestationDocument } from '../attestation.ts'
import type { Policy } from '../policy.ts'
import { type CheckEntry, Checks } from './checks.ts'
import { checkDocument, type DocumentFacts } from './verify-document.ts'
import { judgeReceipt, type SessionInput, type Verdict } from './verify-receipt.ts'

/** How long one judgement serves. */
const WINDOW_MS = 60_000

interface Judgement {
  facts: DocumentFacts | undefined
  entries: readonly CheckEntry[]
  /** The moments for which it was made, both included. */
  from: number
  until: number
}

export class KnownDocument {
  readonly #document: AttestationDocument
  readonly #policy: Policy
  #judgement: Promise<Judgement> | undefined

  /** The document may come from anywhere, parsed or not; `policy` is the one for every receipt. */
  constructor(document: AttestationDocument, policy: Policy) {
    this.#document = copyOf(document)
    this.#policy = structuredClone(policy)
  }

  /**
   * The same verdict as `verifyReceipt`, whole: the document's entries stand in it as if they had just been made. A
   * challenge has no place here, because freshness is not a thing to remember.
   */
  async verify(input: SessionInput, now = Date.now()): Promise<Verdict> {
    const { entries, facts } = await this.#at(now)
    const own = facts && { ...facts, claims: structuredClone(facts.claims) }
    return judgeReceipt(new Checks(entries), own, input, this.#policy, now)
  }

  async #at(now: number): Promise<Judgement> {
    const last = await this.#judgement
    if (last && last.from <= now && now <= last.until) return last
    this.#judgement = this.#judge(now)
    return this.#judgement
  }

  /** Judged at both ends of the window: what is valid at both is valid at every moment between. */
  async #judge(from: number): Promise<Judgement> {
    const end = from + WINDOW_MS
    const [first, second] = [new Checks(), new Checks()]
    const facts = await checkDocument(first, { document: this.#document }, this.#policy, from)
    await checkDocument(second, { document: this.#document }, this.#policy, end)
    const results = (checks: Checks) => checks.entries.map(({ id, result }) => `${id} ${result}`)
    const same = results(first).join() === results(second).join()
    return { facts, entries: first.entries, from, until: same ? end : from }
  }
}

/** What cannot be copied is no document either, and fails its first check. */
function copyOf(document: AttestationDocument): AttestationDocument {
  try {
    return structuredClone(document)
  } catch {
    return undefined as unknown as AttestationDocument
  }
}
