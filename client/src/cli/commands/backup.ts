// backup, log export: what an operator keeps of a machine. Both ask the running embassy, which alone may open its database.
import { resolve } from 'node:path'
import { adminSocket, askEmbassy } from '../admin-socket.ts'
import { type Io, printJson } from '../io.ts'
import { refuseExisting, writeNewFile } from '../new-file.ts'
import { EXIT, type Exit } from '../usage.ts'

interface AdminFlags {
  out: string
  socket?: string
  json?: boolean
}

const MIB = 1024 * 1024

export async function backupCommand(io: Io, flags: AdminFlags): Promise<Exit> {
  const path = resolve(io.cwd, flags.out)
  await refuseExisting(path)
  const socket = await adminSocket(flags.socket)
  const tell = progress(io, flags.json === true)
  tell('the embassy copies its database')
  const answer = await askEmbassy(socket, 'POST', '/backup')
  const bytes = Number(answer.headers['content-length'])
  let told = 0
  const size = await writeNewFile(path, answer, {
    bytes,
    progress: (soFar) => {
      if (soFar - told < 64 * MIB && soFar < bytes) return
      told = soFar
      tell(`${mib(soFar)} of ${mib(bytes)} MiB`)
    },
  })
  if (flags.json) printJson(io, { bytes: size, file: flags.out })
  else
    io.stdout.write(`${flags.out}: ${size} bytes; \`sealed restore\` puts it back on a machine\n`)
  return EXIT.ok
}

export async function exportCommand(io: Io, flags: AdminFlags): Promise<Exit> {
  const path = resolve(io.cwd, flags.out)
  await refuseExisting(path)
  const socket = await adminSocket(flags.socket)
  const answer = await askEmbassy(socket, 'GET', '/log/entries')
  let leaves = 0
  await writeNewFile(path, answer, {
    progress: (_, part) => {
      for (const byte of part) if (byte === 0x0a) leaves += 1
    },
  })
  if (flags.json) printJson(io, { file: flags.out, leaves })
  else io.stdout.write(`${flags.out}: ${leaves} leaves, for \`sealed log replay\`\n`)
  return EXIT.ok
}

const mib = (bytes: number) => (bytes / MIB).toFixed(1)

const progress = (io: Io, isQuiet: boolean) => (line: string) => {
  if (!isQuiet) io.stderr.write(`${line}\n`)
}
