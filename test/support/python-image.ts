// An image that holds Python with the modules that the escape matrix's agent needs, and a way to run that agent inside a
// container of it: what it sends goes through whatever the container runs in.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import type Docker from 'dockerode'
import { type Agent, agentOver, PROGRAM } from './agent.ts'
import { imageOf, withLibraries } from './files-image.ts'

/** The files of every module that the agent loads, those that Python loads by itself included. */
const MODULES = `
import encodings.idna, json, os, re, select, socket, struct, sys, threading
print('\\n'.join({m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)}))`

/** Writes the archive; resolves with the image's id in hex. Its container waits to be told something by `agentIn`. */
export function buildPythonImage(out: string): Promise<string> {
  const listed = execFileSync('/usr/bin/python3', ['-S', '-E', '-c', MODULES], { encoding: 'utf8' })
  const modules = listed.trim().split('\n')
  const files = [...withLibraries('/usr/bin/python3'), ...modules]
  const command = ['/usr/bin/python3', '-S', '-E', '-c', 'import select; select.select([], [], [])']
  return imageOf('python', files, command, out)
}

/** Starts an agent in a running container, as its user. */
export async function agentIn(docker: Docker, id: string): Promise<Agent> {
  const exec = await docker.getContainer(id).exec({
    Cmd: ['/usr/bin/python3', '-S', '-E', '-c', readFileSync(PROGRAM, 'utf8')],
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
  })
  const stream = await exec.start({ hijack: true, stdin: true })
  const output = new PassThrough()
  docker.modem.demuxStream(stream, output, process.stderr)
  return agentOver(`container ${id}`, stream, output, once(stream, 'close'))
}
