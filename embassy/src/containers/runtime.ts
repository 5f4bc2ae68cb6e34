// Whether the engine can run a workload in the runtime that its file names, and so that the seal still holds.

/** As the engine's `/info` tells of it. */
export type Runtimes = Readonly<Record<string, { readonly runtimeArgs?: readonly string[] | null }>>

/**
 * Why not, and what to do; undefined where it can. gVisor with a network stack of its own takes the address out of the
 * namespace that the probes look from (gvisor.dev/docs/user_guide/networking): they would find everything blocked, whatever
 * the firewall does. With the namespace's own stack the workload has what the probes have.
 */
export function runtimeRefused(runtimes: Runtimes, wanted: string): string | undefined {
  if (!Object.hasOwn(runtimes, wanted))
    return `the container engine has no runtime ${wanted}: install it, name it under "runtimes" in /etc/docker/daemon.json and start the engine again; it has ${Object.keys(runtimes).join(', ')}`
  if (wanted === 'runsc' && !runtimes.runsc!.runtimeArgs?.includes('--network=host'))
    return 'runsc with a network stack of its own cannot be probed from outside of it: give it "runtimeArgs": ["--network=host"] in /etc/docker/daemon.json (the host is the replica’s sealed namespace) and start the engine again'
  return undefined
}
