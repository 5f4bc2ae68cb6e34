// Every parser and every signed thing of the protocol, as one list. A parser that is not in it is not fuzzed.
import type { Target } from './run.ts'
import { formTargets } from './targets-forms.ts'
import { hardwareTargets } from './targets-hardware.ts'
import { leafTargets } from './targets-leaves.ts'
import { logTargets } from './targets-log.ts'
import { signedTargets } from './targets-signed.ts'
import { teeTargets } from './targets-tee.ts'

export const allTargets = async (): Promise<Target[]> => [
  ...formTargets,
  ...leafTargets,
  ...(await hardwareTargets()),
  ...(await logTargets()),
  ...(await teeTargets()),
  ...(await signedTargets()),
]
