// A machine that cannot seal: what is said of it, before and after, to whoever runs something there.

/** Why, as `scripts/setup` finds out; the words of protocol. */
export const REASONS = ['system', 'privileges', 'software'] as const
export type Unsealed = (typeof REASONS)[number]

const WANTING: Record<Unsealed, string> = {
  system:
    'its system is not Linux, which has the network namespaces and the firewall that a seal is made of',
  privileges: 'this user is not root, or root here may not set up a firewall',
  software:
    'the container engine, the firewall or the TPM software is not installed, and there is no apt to install it with',
}

/** What `--unsealed` says; undefined where it was not given. */
export function unsealedFlag(value: string | undefined): Unsealed | undefined {
  if (value === undefined) return undefined
  const known = REASONS.find((reason) => reason === value)
  if (!known) throw new Error(`--unsealed is one of ${REASONS.join(', ')}, not ${value}`)
  return known
}

export const unsealedParagraph = (reason: Unsealed): string => `
THIS MACHINE CANNOT SEAL: ${WANTING[reason]}. So nothing here is sealed and nothing is attested: the model runs as an ordinary child process with this user's network and files, no TPM measures or quotes anything, every receipt says so (seal.absent, tpm.absent), and every receipt fails verification, under every policy. To seal, run the same command as root on Debian 12 or Ubuntu 24.04, on a machine of its own or in a container started with --privileged --cgroupns=private.
`
