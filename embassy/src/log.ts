// Structured log lines on stderr. Fields hold ids, codes and counts: never contents, keys or scores.

export type Log = (message: string, fields: Record<string, unknown>) => void

export const log: Log = (message, fields) => {
  process.stderr.write(
    `${JSON.stringify({ at: new Date().toISOString(), process: 'embassy', message, ...fields })}\n`,
  )
}
