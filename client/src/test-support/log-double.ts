// The log of a machine double, served over HTTP paths as a gateway does: leaves in memory, tiles cut out of them.
import { type Bytes, concat, leafHash, merkleRoot, parseTilePath, utf8 } from '@sealed/protocol'
import { errorResponse } from './gateway-double.ts'
import type { MachineDouble } from './machine-double.ts'

export class LogDouble {
  leaves: Bytes[] = ['boot', 'one', 'two', 'three', 'four'].map(utf8)
  readonly #machine: MachineDouble

  constructor(machine: MachineDouble) {
    this.#machine = machine
  }

  async note(size = this.leaves.length): Promise<string> {
    const hashes = await Promise.all(this.leaves.slice(0, size).map(leafHash))
    return this.#machine.checkpoint(size, await merkleRoot(hashes))
  }

  /** A bend for `serve`: answers below `/log/`. */
  readonly before = async (url: URL): Promise<Response | undefined> => {
    const hex = this.#machine.origin.replace('sealed/', '')
    const [, origin, resource = ''] = /^\/log\/([0-9a-f]{16})\/(.+)$/.exec(url.pathname) ?? []
    if (origin === undefined) return undefined
    if (origin === hex && resource === 'checkpoint') return new Response(await this.note())
    const tile = parseTilePath(resource)
    if (origin !== hex || tile?.level !== 0 || tile.width > this.leaves.length)
      return errorResponse(404, 'request.not_found', 'no such part of a log here')
    return new Response(
      concat(...(await Promise.all(this.leaves.slice(0, tile.width).map(leafHash)))),
    )
  }
}
