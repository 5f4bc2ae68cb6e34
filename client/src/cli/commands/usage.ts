// usage: what each API key has used, by UTC day, as the embassy on this machine counted it. The operator's own figures,
// for invoices; what is proven of use are the meters.
import { type Bytes, concat, fromUtf8, SealedError } from '@sealed/protocol'
import { adminSocket, askEmbassy } from '../admin-socket.ts'
import { type Io, plainLine, printJson } from '../io.ts'
import { EXIT, type Exit, UsageError } from '../usage.ts'

interface UsageFlags {
  csv?: boolean
  json?: boolean
  since?: string
  socket?: string
  until?: string
}

interface Row {
  day: string
  caller: string
  answered: number
  aborted: number
  input_bytes: number
  output_bytes: number
}

const DAY = /^\d{4}-\d\d-\d\d$/
const HEAD = ['day', 'key', 'requests', 'answered', 'aborted', 'input_bytes', 'output_bytes']

export async function usageCommand(io: Io, flags: UsageFlags): Promise<Exit> {
  const [since, until] = [dayOf('since', flags.since), dayOf('until', flags.until)]
  const rows = (await read(await adminSocket(flags.socket))).filter(
    ({ day }) => (since === undefined || day >= since) && (until === undefined || day <= until),
  )
  const cells = rows.map((row) => [
    row.day,
    row.caller,
    ...[row.answered + row.aborted, row.answered, row.aborted].map(String),
    ...[row.input_bytes, row.output_bytes].map(String),
  ])
  if (flags.json) {
    const usage = rows.map(({ caller, ...row }) => ({
      ...row,
      key: caller,
      requests: row.answered + row.aborted,
    }))
    printJson(io, { usage })
  } else if (flags.csv)
    io.stdout.write([HEAD, ...cells].map((line) => `${line.map(field).join(',')}\r\n`).join(''))
  else io.stdout.write(table([HEAD, ...cells]))
  return EXIT.ok
}

function dayOf(name: string, given: string | undefined): string | undefined {
  if (given === undefined || DAY.test(given)) return given
  throw new UsageError(`--${name} is a day in UTC, such as 2026-11-27`, name)
}

async function read(socket: string): Promise<Row[]> {
  const answer = await askEmbassy(socket, 'GET', '/usage')
  const parts: Uint8Array[] = []
  for await (const part of answer as AsyncIterable<Uint8Array>) parts.push(part)
  try {
    return (JSON.parse(fromUtf8(concat(...parts) as Bytes)) as { usage: Row[] }).usage
  } catch (cause) {
    throw new SealedError('response.invalid', 'the embassy’s usage cannot be read', { cause })
  }
}

/** RFC 4180; a field that a spreadsheet would take for a formula is not one. */
function field(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

function table(lines: readonly string[][]): string {
  const widths = HEAD.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)))
  const isText = (i: number) => i < 2
  return lines
    .map((line) =>
      line
        .map((cell, i) => (isText(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  '),
    )
    .map((line) => `${plainLine(line)}\n`)
    .join('')
}
