// A mistake in how the command was called: exit code 2, one sentence, and what to do instead.
import { SealedError } from '@sealed/protocol'

export class UsageError extends SealedError {
  constructor(message: string, param?: string) {
    super('request.invalid', message, param === undefined ? {} : { param })
    this.name = 'UsageError'
  }
}

export const EXIT = { ok: 0, failed: 1, usage: 2, incomplete: 3 } as const
export type Exit = (typeof EXIT)[keyof typeof EXIT]
