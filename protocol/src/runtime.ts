// What the runtime has beside the web's interfaces.

interface Runtime {
  navigator?: { userAgent?: string }
  process?: { versions?: { node?: string }; getBuiltinModule?: (name: string) => unknown }
}
const { navigator, process } = globalThis as Runtime

/**
 * Others have parts of Node under its names, which take other arguments or do other things: workerd’s `publicEncrypt`
 * did not use the digest it was given. Node 20 has no navigator.
 */
const isNode = navigator
  ? navigator.userAgent?.startsWith('Node.js/') === true
  : process?.versions?.node !== undefined

/** One of Node's own modules; undefined in what is not Node, and before Node 20.16, which does not hand them out. */
export const nodeModule = <T>(name: `node:${string}`): T | undefined =>
  isNode ? (process?.getBuiltinModule?.(name) as T | undefined) : undefined
