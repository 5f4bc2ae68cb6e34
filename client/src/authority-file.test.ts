import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createAuthority } from './authority.ts'
import { readAuthorityFile, writeAuthorityFile } from './authority-file.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealed-authority-'))
  path = join(folder, 'key.jwk')
})
afterEach(() => rm(folder, { recursive: true }))

describe('an authority’s key file', () => {
  it('is its owner’s alone, and comes back as the same authority', async () => {
    const { entry, jwk } = await createAuthority()
    await writeAuthorityFile(path, jwk)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await readAuthorityFile(path)).entry).toEqual(entry)
  })

  it('is never overwritten', async () => {
    await writeFile(path, 'other')
    await expect(writeAuthorityFile(path, 'new')).rejects.toThrow(/never overwritten/)
    expect(await readFile(path, 'utf8')).toBe('other')
  })

  it.each([0o640, 0o604, 0o660, 0o601])('is refused with mode %o', async (mode) => {
    await writeAuthorityFile(path, (await createAuthority()).jwk)
    await chmod(path, mode)
    await expect(readAuthorityFile(path)).rejects.toThrow(`chmod 600 ${path}`)
  })

  it('is refused where there is none, or a folder, with the next step', async () => {
    await expect(readAuthorityFile(path)).rejects.toThrow(/sealed authority new/)
    await expect(readAuthorityFile(folder)).rejects.toMatchObject({ code: 'config.invalid' })
    await expect(writeAuthorityFile(join(path, 'x'), '')).rejects.toMatchObject({
      code: 'config.invalid',
    })
  })
})
