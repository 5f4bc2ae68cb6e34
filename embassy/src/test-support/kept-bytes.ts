// What calls leave on the heap when they are over, once all that they compile and cache is there.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export async function keptBytes(
  calls: number,
  call: (i: number) => Promise<unknown>,
): Promise<number> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const many = async () => {
    for (let i = 0; i < calls; i++) await call(i)
    gc()
    return process.memoryUsage().heapUsed
  }
  await many()
  const before = await many()
  return (await many()) - before
}
