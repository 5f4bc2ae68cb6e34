#!/usr/bin/env node
// The `sealed` command. Composition root: reads the process, runs, sets the exit code.
import { processIo } from '../src/cli/io.ts'
import { run } from '../src/cli/run.ts'

// A reader that leaves early, as `head` does, is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})
process.exitCode = await run(process.argv.slice(2), processIo())
