// What an instance that was stopped must not leave on the machine: containers, firewall tables, links, mounts, its
// software TPM.
import { readFile } from 'node:fs/promises'
import Docker from 'dockerode'
import type { Paths } from '../../scripts/instance/paths.ts'
import { run } from '../../scripts/world/run.ts'
import { swtpmsUnder } from './software-tpm.ts'

/** Names of everything that is still there. */
export async function leftoversOf(
  { id, runtime, state }: Paths,
  socketPath = '/var/run/docker.sock',
): Promise<string[]> {
  const docker = new Docker({ socketPath })
  const containers = await docker.listContainers({
    all: true,
    filters: { name: [`^/sealed-${id}-`] },
  })
  const tables = (await run('nft', ['list', 'tables'])).split('\n')
  const links = (await run('ip', ['-o', 'link'])).split('\n')
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n')
  return [
    ...containers.flatMap(({ Names }) => Names),
    ...tables.filter((line) => line.includes(`sealed_${id}_`)),
    ...links.filter((line) => line.includes(`sl${id}-`)),
    ...mounts.filter((line) => line.includes(`${runtime} `) || line.includes(`${runtime}/`)),
    ...(await swtpmsUnder(state)).map((pid) => `swtpm ${pid}`),
  ]
}
