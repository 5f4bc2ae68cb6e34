// One run of the CLI: arguments in, exit code out. Nothing here ends the process, so a test can call it.
import { wantsJson } from './format.ts'
import type { Io } from './io.ts'
import { buildProgram } from './program.ts'
import { report } from './report.ts'
import { EXIT, type Exit } from './usage.ts'

/** Runs `sealed` with these arguments (without node and script) and returns its exit code. */
export async function run(argv: readonly string[], io: Io): Promise<Exit> {
  const end = argv.indexOf('--')
  const json = wantsJson(end < 0 ? argv : argv.slice(0, end))
  let exit: Exit = EXIT.ok
  try {
    const program = buildProgram(io, json, (code) => {
      exit = code
    })
    await program.parseAsync([...argv], { from: 'user' })
    return exit
  } catch (error) {
    return report(io, error, json)
  }
}
