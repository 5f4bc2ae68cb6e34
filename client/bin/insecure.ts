// INSECURE: the `sealed` command without its point: it asks machines that do not verify. It shows what comes back, says
// that nothing of it is proven, and ends with 1 unless everything verified after all. A command of its own, which no
// package installs, so that nobody comes to use it by an option; the demo of a machine that cannot seal runs it.
import { processIo } from '../src/cli/io.ts'
import { run } from '../src/cli/run.ts'

process.exitCode = await run(process.argv.slice(2), { ...processIo(), insecure: true })
