// An edge for tests in front of a VM that is a function: the test says what its routes answer, and sees what reached it.
import { canonicalBytes, type Policy } from '@sealed/protocol'
import { createEdge } from '../edge/edge.ts'
import type { EdgeSettings } from '../edge/settings.ts'

export interface VmRequest {
  method: string
  path: string
  headers: Headers
  body: Uint8Array | undefined
  signal: AbortSignal | undefined
  init: RequestInit
}

/** Answers; a failure is one of the network. */
export type Vm = (request: VmRequest) => Response | Promise<Response>

/** What the edge needs of a machine that attests. */
export interface Attesting {
  policy: Policy
  answer(nonce: Uint8Array<ArrayBuffer>): Promise<object>
}

export const ORIGIN = 'https://vm.example'

export interface EdgeDouble {
  /** Milliseconds; tests move it. */
  clock: { now: number }
  /** Requests that reached the VM, looks at its attestation left out. */
  reached: VmRequest[]
  /** Looks at its attestation. */
  looks: number
  /** Bends what the attestation answers; undefined leaves it. */
  attestation: (() => Response | undefined | Promise<Response | undefined>) | undefined
  vm: Vm
  request: (path: string, init?: RequestInit) => Promise<Response>
  /** Waits for everything that was kept beyond its request. */
  settled: () => Promise<void>
}

export function edgeDouble(
  machine: Attesting,
  now: number,
  more: Partial<EdgeSettings> & { vm?: Vm } = {},
): EdgeDouble {
  const { vm, ...settings } = more
  const kept: Promise<unknown>[] = []
  const double: EdgeDouble = {
    clock: { now },
    reached: [],
    looks: 0,
    attestation: undefined,
    vm: vm ?? (() => new Response('nothing is here', { status: 404 })),
    request: async (path, init) => app.request(path, init),
    settled: async () => {
      for (let seen = -1; seen !== kept.length; ) {
        seen = kept.length
        await Promise.all(kept)
      }
    },
  }
  const app = createEdge(
    { origin: ORIGIN, policy: machine.policy, corsOrigins: [], ...settings },
    {
      clock: () => double.clock.now,
      keep: (work) => void kept.push(work),
      fetch: async (target, init) => {
        const url = new URL(target)
        if (url.origin !== ORIGIN) throw new Error(`the edge left for ${url.origin}`)
        const nonce = url.searchParams.get('nonce')
        const own = url.pathname === '/v1/attestation' && nonce?.length === 43
        if (own) {
          double.looks++
          const bytes = Uint8Array.from(
            atob(nonce.replaceAll('-', '+').replaceAll('_', '/')),
            (char) => char.charCodeAt(0),
          )
          return (
            (await double.attestation?.()) ??
            new Response(canonicalBytes(await machine.answer(bytes)))
          )
        }
        const request = {
          method: init.method ?? 'GET',
          path: url.pathname + url.search,
          headers: new Headers(init.headers),
          body: init.body as Uint8Array | undefined,
          signal: init.signal ?? undefined,
          init,
        }
        double.reached.push(request)
        return double.vm(request)
      },
    },
  )
  return double
}

export const codeOf = async (response: Response): Promise<string> =>
  ((await response.json()) as { error: { code: string } }).error.code
