import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { clear, MAX_FILE_BYTES, sweep } from './sweep.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealed-sweep-'))
})
afterEach(() => rm(directory, { recursive: true }))

const header = Buffer.from(
  JSON.stringify({ hidden_states: { dtype: 'F32', shape: [1, 1, 1], data_offsets: [0, 4] } }),
)
const length = Buffer.alloc(8)
length.writeBigUInt64LE(BigInt(header.length))
const whole = Buffer.concat([length, header, Buffer.from(Float32Array.of(1).buffer)])
const put = (name: string, content: Uint8Array = whole) => writeFile(join(directory, name), content)
const refused = expect.objectContaining({ code: 'activations.invalid' })

describe('sweep', () => {
  test('copies the one whole file', async () => {
    await put('a.safetensors')
    expect(Buffer.from((await sweep({ directory }, 0))!)).toEqual(whole)
  })

  test('finds nothing where nothing is, and not what is still being written', async () => {
    expect(await sweep({ directory }, 0)).toBeUndefined()
    await put('a.safetensors.part')
    expect(await sweep({ directory }, 0)).toBeUndefined()
  })

  test('waits for a file that comes late', async () => {
    await put('a.safetensors.part')
    const found = sweep({ directory }, 30_000)
    await rename(join(directory, 'a.safetensors.part'), join(directory, 'a.safetensors'))
    expect(Buffer.from((await found)!)).toEqual(whole)
  })

  test('does not take a cut file while its writer holds the lock', async () => {
    await put('a.safetensors', whole.subarray(0, -1))
    await put('a.safetensors.lock', Buffer.alloc(0))
    expect(await sweep({ directory }, 0)).toBeUndefined()
  })

  test('refuses two files: nobody can say which is the session’s', async () => {
    await put('a.safetensors')
    await put('b.safetensors')
    await expect(sweep({ directory }, 0)).rejects.toThrow(refused)
  })

  test('follows no link and opens nothing but files', async () => {
    await put('target')
    await symlink(join(directory, 'target'), join(directory, 'a.safetensors'))
    await expect(sweep({ directory }, 0)).rejects.toThrow(refused)
    clear(directory)
    await mkdir(join(directory, 'a.safetensors'))
    await expect(sweep({ directory }, 0)).rejects.toThrow(refused)
    clear(directory)
    execFileSync('mkfifo', [join(directory, 'a.safetensors')])
    await expect(sweep({ directory }, 0)).rejects.toThrow(refused)
  })

  test('refuses a huge file without reading it', async () => {
    await put('a.safetensors')
    await truncate(join(directory, 'a.safetensors'), MAX_FILE_BYTES + 1)
    await expect(sweep({ directory }, 0)).rejects.toThrow(refused)
  })

  test('refuses a directory full of entries', async () => {
    for (let i = 0; i < 65; i++) await put(`${i}`)
    await expect(sweep({ directory }, 0)).rejects.toThrow(refused)
  })
})

test('clear leaves nothing of an earlier session', async () => {
  await put('a.safetensors')
  await mkdir(join(directory, 'b'))
  clear(directory)
  expect(await readdir(directory)).toEqual([])
})
