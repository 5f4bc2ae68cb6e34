import { STRICT_POLICY } from '@sealed/protocol'
import { describe, expect, it } from 'vitest'
import { readSettings } from './settings.ts'

const BINDINGS = {
  SEALED_ORIGIN: 'https://vm.example:8443',
  SEALED_POLICY: JSON.stringify(STRICT_POLICY),
}

describe('the bindings of an edge', () => {
  it('are an origin and a policy', () => {
    expect(readSettings({ ...BINDINGS, ASSETS: {} })).toEqual({
      origin: 'https://vm.example:8443',
      policy: STRICT_POLICY,
      corsOrigins: [],
    })
  })

  it.each([
    ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['http://localhost:8080/', 'http://localhost:8080'],
    ['https://VM.example/', 'https://vm.example'],
  ])('take %s for %s', (given, origin) => {
    expect(readSettings({ ...BINDINGS, SEALED_ORIGIN: given }).origin).toBe(origin)
  })

  it.each([
    'http://vm.example',
    'http://127.0.0.1.vm.example',
    'https://vm.example/v1',
    'https://vm.example?a',
    'https://vm.example#a',
    'https://key@vm.example',
    'ftp://vm.example',
    'vm.example',
    '',
    undefined,
  ])('refuse %s as the VM', (origin) => {
    expect(() => readSettings({ ...BINDINGS, SEALED_ORIGIN: origin })).toThrow('SEALED_ORIGIN')
  })

  it.each([undefined, '', '{}', '{"version":1}', `${BINDINGS.SEALED_POLICY}x`, STRICT_POLICY])(
    'refuse %j as a policy',
    (policy) => {
      expect(() => readSettings({ ...BINDINGS, SEALED_POLICY: policy })).toThrow('SEALED_POLICY')
    },
  )

  it('name web pages by their origins', () => {
    const of = (value: string) =>
      readSettings({ ...BINDINGS, SEALED_CORS_ORIGINS: value }).corsOrigins
    expect(of('https://a.example, http://localhost:3000')).toEqual([
      'https://a.example',
      'http://localhost:3000',
    ])
    expect(of('')).toEqual([])
    for (const value of ['*', 'https://a.example/', 'null', 'a.example', 'data:x'])
      expect(() => of(value)).toThrow('SEALED_CORS_ORIGINS')
  })

  it('refuse a name of ours that means nothing', () => {
    expect(() => readSettings({ ...BINDINGS, SEALED_PLAINDOOR: '' })).toThrow('SEALED_PLAINDOOR')
  })
})
