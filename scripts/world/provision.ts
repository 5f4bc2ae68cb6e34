// Gives a new software TPM what a confidential VM's has at birth: attestation key templates and
// certificates at GCE's NV indices, with GCE's attributes. The embassy never takes part in this.
import { randomBytes, randomInt } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { certifyKey, createAuthority, type Instance } from './certificates.ts'
import { run } from './run.ts'
import { startSwtpm } from './swtpm.ts'

/** One kind of attestation key: where GCE keeps it, and how tpm2-tools and the TPM spell it. */
interface Kind {
  readonly name: string
  readonly templateIndex: string
  readonly certificateIndex: string
  readonly algorithm: string
  /** TPMT_PUBLIC up to `unique`. */
  readonly head: string
  /** Sizes of the parts of `unique`: an RSA modulus, or the two coordinates of a point. */
  readonly unique: readonly number[]
  /** tpm2-tools reads `unique` as the host's own structure, each part in a buffer of this size. */
  readonly buffer: number
}

// fixedTPM | fixedParent | sensitiveDataOrigin | userWithAuth | restricted | sign
const ATTRIBUTES = '00050072'
const NV_ATTRIBUTES = 'ppwrite|writedefine|ppread|ownerread|authread|no_da|platformcreate'

const KINDS: readonly Kind[] = [
  {
    name: 'rsa',
    templateIndex: '0x01c10001',
    certificateIndex: '0x01c10000',
    algorithm: 'rsa2048:rsassa-sha256:null',
    head: `0001000b${ATTRIBUTES}000000100014000b080000000000`,
    unique: [256],
    buffer: 256,
  },
  {
    name: 'ecc',
    templateIndex: '0x01c10003',
    certificateIndex: '0x01c10002',
    algorithm: 'ecc256:ecdsa-sha256:null',
    head: `0023000b${ATTRIBUTES}000000100018000b00030010`,
    unique: [32, 32],
    buffer: 128,
  },
]

/**
 * Fills the empty `directory` with `state/`, `chain.pem` and `root.der`; certificates say that `issuers`, an address,
 * has `intermediate.crt` and `root.crt`. Takes some seconds, once.
 */
export async function provision(directory: string, issuers?: string): Promise<void> {
  const work = join(directory, 'work')
  await mkdir(join(directory, 'state'), { mode: 0o700 })
  await mkdir(work, { mode: 0o700 })
  const instance: Instance = {
    zone: 'software',
    project: 'software-tpm',
    id: String(randomInt(2 ** 47, 2 ** 48 - 1)),
    name: 'software-tpm',
  }
  const authority = createAuthority(work, issuers)
  // Looked at below; here only so that a failure of the TPM does not leave it unhandled.
  authority.catch(() => undefined)
  const tpm = await startSwtpm({ directory, socket: 'tpm.sock' })
  try {
    for (const kind of KINDS) await createKey(work, kind)
    await authority
    for (const kind of KINDS) {
      await certifyKey(work, kind.name, instance, issuers)
      await store(work, kind.templateIndex, `${kind.name}.template`)
      await store(work, kind.certificateIndex, `${kind.name}.der`)
    }
  } finally {
    await authority.catch(() => undefined)
    await tpm.stop()
  }
  for (const name of ['chain.pem', 'root.der'])
    await writeFile(join(directory, name), await readFile(join(work, name)))
  // The authority's keys go with it: nobody issues a second certificate under this root.
  await rm(work, { recursive: true })
}

/** Writes the template, makes its key as tpm2-tools can, and checks that both are the same key. */
async function createKey(work: string, kind: Kind): Promise<void> {
  const parts = kind.unique.map((size) => randomBytes(size))
  const template = Buffer.concat([
    Buffer.from(kind.head, 'hex'),
    ...parts.flatMap((part) => [u16be(part.length), part]),
  ])
  const hostForm = parts.flatMap((part) => [
    u16le(part.length),
    part,
    Buffer.alloc(kind.buffer - part.length),
  ])
  await writeFile(join(work, `${kind.name}.template`), template)
  await writeFile(join(work, `${kind.name}.unique`), Buffer.concat(hostForm))
  await tpm2(work, [
    ...['createprimary', '-C', 'e', '-g', 'sha256', '-G', kind.algorithm, '-a', `0x${ATTRIBUTES}`],
    ...['-u', `${kind.name}.unique`, '-c', `${kind.name}.ctx`],
  ])
  const read = (...args: string[]) => tpm2(work, ['readpublic', '-c', `${kind.name}.ctx`, ...args])
  await read('-f', 'pem', '-o', `${kind.name}.pub.pem`)
  await read('-f', 'tss', '-o', `${kind.name}.public`)
  await tpm2(work, ['flushcontext', '-t'])
  const made = await readFile(join(work, `${kind.name}.public`))
  const head = made.subarray(2, 2 + kind.head.length / 2).toString('hex')
  if (head !== kind.head)
    throw new Error(`tpm2 createprimary made a key of another kind than its template: ${head}`)
}

async function store(work: string, index: string, file: string): Promise<void> {
  const size = (await readFile(join(work, file))).length
  await tpm2(work, ['nvdefine', '-C', 'p', '-s', String(size), '-a', NV_ATTRIBUTES, index])
  await tpm2(work, ['nvwrite', '-C', 'p', '-i', file, index])
}

const tpm2 = (work: string, args: readonly string[]) =>
  run('tpm2', args, {
    cwd: work,
    // Relative, as swtpm binds it: a checkout may lie deeper than a socket path is long.
    env: { ...process.env, TPM2TOOLS_TCTI: 'swtpm:path=../tpm.sock' },
  })

const u16be = (value: number) => Buffer.from([value >>> 8, value & 255])
const u16le = (value: number) => Buffer.from([value & 255, value >>> 8])
