// The work as a Worker, for workerd and, loaded as a module, for a browser. Workers see no time pass while they compute,
// so that the time is taken by who calls.
import { type Kind, verifyTimes } from './work.ts'

export default {
  async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url)
    await verifyTimes(searchParams.get('kind') as Kind, Number(searchParams.get('times')))
    return new Response('done')
  },
}
