// W3C Trace Context: the ids by which a caller finds a request again in its own traces and in this gateway's log. They
// are the caller's word, and go no further.

export interface Trace {
  /** 32 hex digits. */
  traceId: string
  /** 16 hex digits: the caller's span. */
  parentId: string
}

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.{0,256})?$/s

/** Reads `traceparent`; one that the standard calls invalid is as if it were not there. */
export function parseTraceparent(header: string | undefined): Trace | undefined {
  const [, version, traceId, parentId, more] = FORM.exec(header ?? '') ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined))
    return undefined
  if (/^0+$/.test(traceId!) || /^0+$/.test(parentId!)) return undefined
  return { traceId: traceId!, parentId: parentId! }
}
