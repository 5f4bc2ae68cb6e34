// Whether the engine can run a workload in the runtime that its file names, and so that the seal still holds.

/** As the engine's `/info` tells of it. */
export type Runtimes = Readonly<Record<string, { readonly runtimeArgs?: readonly string[] | null }>>

/** What gVisor must be started with here, and what would happen without it. */
const RUNSC_ARGS: Readonly<Record<string, string>> = {
  // With a network stack of its own (gvisor.dev/docs/user_guide/networking) it takes the address out of the namespace that
  // the probes look from: they would find everything blocked, whatever the firewall does.
  '--network=host':
    'with a network stack of its own it cannot be probed from outside of it (the host is the replica’s sealed namespace)',
  // It keeps what it has looked up open, a thousand files by default, and so alive when the embassy has removed them.
  '--dcache=0': 'it would keep the activations of earlier sessions until there is no room for more',
}

/** Why not, and what to do; undefined where it can. */
export function runtimeRefused(runtimes: Runtimes, wanted: string): string | undefined {
  if (!Object.hasOwn(runtimes, wanted))
    return `the container engine has no runtime ${wanted}: install it, name it under "runtimes" in /etc/docker/daemon.json and start the engine again; it has ${Object.keys(runtimes).join(', ')}`
  if (wanted !== 'runsc') return undefined
  const given = runtimes.runsc!.runtimeArgs ?? []
  for (const [arg, otherwise] of Object.entries(RUNSC_ARGS))
    if (!onlySo(given, arg))
      return `runsc is to be started with ${arg}, and with no other value of it: ${otherwise}; give it "runtimeArgs": ${JSON.stringify(Object.keys(RUNSC_ARGS))} in /etc/docker/daemon.json and start the engine again`
  return undefined
}

/** Of several values of one flag the last is taken, and each may be written in four ways. */
function onlySo(given: readonly string[], arg: string): boolean {
  const name = arg.slice(2, arg.indexOf('='))
  const ofThatName = given.filter((one) => /^--?([^=]*)/.exec(one)?.[1] === name)
  return ofThatName.length > 0 && ofThatName.every((one) => one === arg)
}
