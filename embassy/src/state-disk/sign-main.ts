// Release tool: signs which PCR values of an image may open the state, and writes pcr-policy.json.
// `--pcrs` is {"<variant>": {"4": "<hex>", "7": …, "9": …, "11": …, "12": …}, …} as predicted from the image's files.
import { createPrivateKey } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { fromHex, SealedError } from '@sealed/protocol'
import { parseApprovals, writeApprovals } from './approvals.ts'
import { IMAGE_PCRS } from './policy.ts'
import { signApprovals, type ToApprove } from './sign.ts'

const USAGE =
  'usage: --key PRIVATE.PEM --pcrs FILE --security-version N [--oldest N] --out pcr-policy.json'

function readSets(text: string): ToApprove[] {
  const sets = JSON.parse(text) as Record<string, Record<string, string>>
  return Object.entries(sets).map(([name, values]) => {
    const missing = IMAGE_PCRS.find((pcr) => !(pcr in values))
    if (missing !== undefined)
      throw new SealedError('config.invalid', `--pcrs: ${name} has no PCR ${missing}`)
    const pcrs = Object.entries(values).map(
      ([pcr, value]) => [Number(pcr), fromHex(value, 32)] as const,
    )
    return { name, pcrs: new Map(pcrs) }
  })
}

try {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: { key: text, pcrs: text, 'security-version': text, oldest: text, out: text },
  })
  const { key, pcrs, out, oldest = '1' } = values
  if (!key || !pcrs || !out) throw new Error('--key, --pcrs and --out are needed')
  const approvals = writeApprovals(
    signApprovals(
      createPrivateKey(await readFile(key, 'utf8')),
      readSets(await readFile(pcrs, 'utf8')),
      { oldest: Number(oldest), own: Number(values['security-version']) },
    ),
  )
  // What the image would refuse must not leave this tool.
  parseApprovals(approvals)
  await writeFile(out, approvals)
} catch (error) {
  process.stderr.write(`sign-state-policy: ${(error as Error).message}\n${USAGE}\n`)
  process.exitCode = 1
}
