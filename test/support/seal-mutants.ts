// Rulesets with one thing wrong, each with the cells that it must let through. A matrix that stays green on one of
// these proves nothing.

export interface Mutant {
  readonly name: string
  readonly change: (text: string) => string
  /** Whether a cell, by name, must deliver. */
  readonly delivers: (cell: string) => boolean
  /** Delivers nothing while sealed, but afterwards. */
  readonly late: boolean
}

/** Puts a rule at the head of each of the chains that decide. */
const first =
  (rule: string, netdev = rule) =>
  (text: string): string =>
    text.replace(
      /(chain (\w+) \{\n)((?:\t\ttype .*\n)?)/g,
      (_, head: string, name: string, hook: string) => {
        if (name === 'to_workload' || name === 'from_workload')
          return `${head}${hook}\t\t${netdev}\n`
        const decides = ['gate', 'arrived', 'forwarded', 'sent'].includes(name)
        return `${head}${hook}${decides ? `\t\t${rule}\n` : ''}`
      },
    )

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'IPv6 is forgotten',
    change: first('meta nfproto ipv6 accept', 'meta protocol ip6 accept'),
    delivers: (cell) => cell.includes(' 6 '),
    late: false,
  },
  {
    name: 'only new TCP is refused, as the note does it',
    change: first('tcp flags != syn / fin,syn,rst,ack accept'),
    delivers: (cell) => cell.startsWith('before tcp'),
    late: false,
  },
  {
    name: 'only TCP is refused',
    change: first('meta l4proto != tcp accept'),
    delivers: (cell) => !cell.includes('tcp'),
    late: false,
  },
  {
    name: 'what comes in is forgotten',
    change: (text) =>
      text
        .replace(/(chain (?:forwarded|sent|to_workload) \{\n.*\n)/g, '$1\t\taccept\n')
        // Answers to what came in must get out for TCP to say anything.
        .replace(/(chain (?:gate|arrived) \{\n.*\n)/g, '$1\t\ttcp sport 8000 accept\n'),
    // The sibling is sealed itself: nothing gets out of it.
    delivers: (cell) =>
      cell.startsWith('new') && cell.includes(' in ') && !cell.endsWith('sibling'),
    late: false,
  },
  {
    name: 'nothing is refused',
    change: first('accept'),
    delivers: () => true,
    late: false,
  },
  {
    name: 'what is refused is dropped without a reset',
    change: (text) =>
      text.replaceAll(
        'meta l4proto tcp meta l4proto @refused meta l4proto tcp reject with tcp reset',
        'meta l4proto @refused drop',
      ),
    delivers: () => false,
    late: true,
  },
]
