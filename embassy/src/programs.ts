// Where the files lie that the embassy starts as programs or threads of their own: beside this one, as sources in a
// clone and, each bundled into one file, as JavaScript in the image.
const SUFFIX = import.meta.url.endsWith('.ts') ? 'ts' : 'js'

export type Program = 'relay/main' | 'seal/prober' | 'store/worker' | 'unsealed/end-with-parent'

export const programUrl = (program: Program): URL =>
  new URL(`./${program}.${SUFFIX}`, import.meta.url)
