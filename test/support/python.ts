// Runs the scripts of test/python/, which share no code with ours.
import { execFile } from 'node:child_process'
import { join } from 'node:path'

/** Gives a script JSON on its standard input; rejects with what it says when it fails. */
export function python(script: string, input: unknown): Promise<string> {
  return new Promise((resolve, reject) => {
    const path = join(import.meta.dirname, '..', 'python', script)
    const options = { maxBuffer: 1 << 26 }
    const child = execFile('/usr/bin/python3', ['-B', path], options, (error, stdout, stderr) => {
      if (error) reject(new Error(stderr))
      else resolve(stdout)
    })
    child.stdin!.end(JSON.stringify(input))
  })
}
