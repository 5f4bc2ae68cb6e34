// Structured log lines on stderr. Fields hold ids, codes and counts: never contents, keys or scores.

export type Log = (message: string, fields: Record<string, unknown>) => void

export const logOf =
  (name: string): Log =>
  (message, fields) => {
    process.stderr.write(
      `${JSON.stringify({ at: new Date().toISOString(), process: name, message, ...fields })}\n`,
    )
  }

export const log = logOf('embassy')
