// The LUKS2 header of the state partition, always in a file of memory: what was checked is what is opened, whatever the
// disk answers the second time.
//
// A header is not authenticated. One with a null cipher opens with any key, and has the machine write in clear; one may
// ask for discards or another key slot. So a header is ours in every member or it is refused; what then is left to
// whoever writes the disk (salts, digests, the key slot's content) does not open with the sealed key once it is changed.
//
// aes-xts without dm-integrity: tags would cost a second write of every sector and the wiping of the whole disk, and
// would not tell an old sector from the last one. What the embassy must notice (its database set back or edited) it
// holds against the TPM; any other change garbles 16 bytes or more, which ext4's checksums and SQLite are left to find.
import { isDeepStrictEqual } from 'node:util'
import { SealedError } from '@sealed/protocol'
import { HEADER_BYTES } from './device.ts'
import { type Run, ToolFailure } from './run.ts'
import type { SealedKey } from './sealed-key.ts'
import { readToken, writeToken } from './token.ts'

export const KEY_BYTES = 32
const LABEL = 'sealed-state'
const CIPHER = 'aes-xts-plain64'
/** The key has 256 random bits: nothing is gained by making guesses slow. 1000 is the least that cryptsetup takes. */
const ITERATIONS = 1000
const fromStdin = ['--key-file', '-', '--keyfile-size', `${KEY_BYTES}`] as const

/** Everything that `cryptsetup luksDump` tells of a header of ours, but for salts, digest and tokens. */
const OURS = {
  keyslots: {
    0: {
      type: 'luks2',
      key_size: 64,
      af: { type: 'luks1', stripes: 4000, hash: 'sha256' },
      area: { type: 'raw', offset: '2097152', size: '258048', encryption: CIPHER, key_size: 64 },
      kdf: { type: 'pbkdf2', hash: 'sha256', iterations: ITERATIONS },
    },
  },
  segments: {
    0: {
      type: 'crypt',
      offset: `${HEADER_BYTES}`,
      size: 'dynamic',
      iv_tweak: '0',
      encryption: CIPHER,
      sector_size: 4096,
    },
  },
  digests: { 0: { type: 'pbkdf2', keyslots: ['0'], segments: ['0'], hash: 'sha256' } },
  config: { json_size: '1044480', keyslots_size: '1048576' },
}

type Members = Record<string, unknown>

/** Makes a header in `file`, which is HEADER_BYTES of zeros; the device is only looked at for its size. */
export async function createHeader(
  run: Run,
  file: string,
  device: string,
  key: Uint8Array,
): Promise<void> {
  const layout = ['--luks2-metadata-size', '1m', '--luks2-keyslots-size', '1m']
  const offset = ['--offset', `${HEADER_BYTES / 512}`, '--sector-size', '4096']
  const cipher = ['--cipher', CIPHER, '--key-size', '512', '--hash', 'sha256']
  const derivation = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', `${ITERATIONS}`]
  const what = ['--type', 'luks2', '--batch-mode', '--label', LABEL, '--header', file]
  const options = [...what, ...layout, ...offset, ...cipher, ...derivation, ...fromStdin]
  await run(['cryptsetup', 'luksFormat', ...options, device], key)
}

/**
 * The sealed key in the header in `file`; undefined where there is no LUKS header.
 * @throws SealedError `state.disk` when there is one that is not ours
 */
export async function readSealedKey(run: Run, file: string): Promise<SealedKey | undefined> {
  let text: string
  try {
    text = await run(['cryptsetup', 'luksDump', '--dump-json-metadata', file])
  } catch (error) {
    // 1: not a valid LUKS device. Anything else is no answer to the question.
    if (error instanceof ToolFailure && error.exitCode === 1) return undefined
    throw error
  }
  const { tokens, ...rest } = JSON.parse(text) as Members
  const kdf = at(rest, 'keyslots', '0', 'kdf')
  const digest = at(rest, 'digests', '0')
  for (const name of ['salt', 'digest', 'iterations']) delete digest[name]
  delete kdf.salt
  for (const name of Object.keys(OURS) as (keyof typeof OURS)[])
    if (!isDeepStrictEqual(rest[name], plain(OURS[name])))
      throw foreign(`its ${name} are not as this image makes them`)
  const odd = Object.keys(rest).find((name) => !(name in OURS))
  if (odd) throw foreign(`it has ${odd}`)
  const held = Object.entries((tokens ?? {}) as Record<string, Members>)
  const [only] = held
  if (!only || held.length > 1) throw foreign(`it has ${held.length} tokens, and must have one`)
  return readToken(only[1], only[0])
}

/** Puts a sealed key into the header, in the place of any that is there, and reads the whole back. */
export async function writeSealedKey(run: Run, file: string, sealed: SealedKey): Promise<void> {
  const text = await run(['cryptsetup', 'luksDump', '--dump-json-metadata', file])
  const { tokens } = JSON.parse(text) as { tokens: Members }
  for (const id of Object.keys(tokens))
    await run(['cryptsetup', 'token', 'remove', '--token-id', id, file])
  const token = new TextEncoder().encode(writeToken(sealed))
  await run(['cryptsetup', 'token', 'import', '--json-file', '-', file], token)
  const written = await readSealedKey(run, file)
  if (!written || writeToken(written) !== writeToken(sealed))
    throw new SealedError('state.disk', 'cryptsetup wrote another token than it was given')
}

/**
 * Maps the device under `name`, by the header in `file`. No `--allow-discards`: they would tell the host over time which
 * blocks the state uses and when it lets go of them.
 */
export async function openDevice(
  run: Run,
  file: string,
  device: string,
  name: string,
  key: Uint8Array,
): Promise<void> {
  const how = ['--type', 'luks2', '--disable-external-tokens', '--key-slot', '0']
  const options = ['--batch-mode', ...how, '--header', file, ...fromStdin]
  await run(['cryptsetup', 'open', ...options, device, name], key)
}

export const closeDevice = (run: Run, name: string): Promise<string> =>
  run(['cryptsetup', 'close', name])

const foreign = (why: string) =>
  new SealedError(
    'state.disk',
    `this disk has a LUKS header that is not ours: ${why}. Nothing was written; attach the state disk of this ` +
      'machine, or an empty one',
  )

/** As JSON has it: member names are strings, and there is nothing else. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

function at(value: Members, ...path: string[]): Members {
  let here: unknown = value
  for (const name of path) here = (here as Members | undefined)?.[name]
  if (typeof here !== 'object' || here === null) throw foreign(`it has no ${path.join('.')}`)
  return here as Members
}
