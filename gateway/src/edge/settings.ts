// What a Worker is given in its bindings. Nothing has a default that a request could depend on, no binding of ours is
// skipped, and none of them is a key: whoever reads them all can open nothing.
import { type Policy, parsePolicy, SealedError } from '@sealed/protocol'

export interface EdgeSettings {
  /** `https://host[:port]` of the VM's gateway, without a slash at the end. */
  origin: string
  policy: Policy
  corsOrigins: readonly string[]
}

const NAMES = ['SEALED_ORIGIN', 'SEALED_POLICY', 'SEALED_CORS_ORIGINS']
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

/** Reads the bindings; throws `config.invalid` or `json.invalid`, naming the one at fault. */
export function readSettings(env: Readonly<Record<string, unknown>>): EdgeSettings {
  for (const name of Object.keys(env))
    if (name.startsWith('SEALED_') && !NAMES.includes(name))
      throw invalid(name, `is no binding of this Worker; there are ${NAMES.join(', ')}`)
  return {
    origin: originOf(required(env, 'SEALED_ORIGIN')),
    policy: policyOf(required(env, 'SEALED_POLICY')),
    corsOrigins: corsOf(text(env, 'SEALED_CORS_ORIGINS')),
  }
}

function text(env: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = env[name]
  if (value === undefined || typeof value === 'string') return value
  throw invalid(name, 'must be text')
}

function required(env: Readonly<Record<string, unknown>>, name: string): string {
  const value = text(env, name)
  if (value) return value
  throw invalid(name, 'is missing')
}

function policyOf(source: string): Policy {
  try {
    return parsePolicy(source)
  } catch (error) {
    if (!(error instanceof SealedError)) throw error
    throw invalid('SEALED_POLICY', `is no policy: ${error.message}`)
  }
}

function originOf(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (!url || `${url.origin}/` !== url.href || !/^https?:$/.test(url.protocol))
    throw invalid('SEALED_ORIGIN', 'must be https://host[:port] and nothing more')
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname))
    throw invalid('SEALED_ORIGIN', 'must be https: API keys cross the network to it')
  return url.origin
}

const corsOf = (value = ''): string[] =>
  value.split(',').flatMap((part) => {
    const given = part.trim()
    if (given === '') return []
    const url = URL.canParse(given) ? new URL(given) : undefined
    if (url?.origin !== given || url.origin === 'null')
      throw invalid(
        'SEALED_CORS_ORIGINS',
        'must be origins such as https://chat.example, by commas',
      )
    return [given]
  })

const invalid = (name: string, what: string) =>
  new SealedError('config.invalid', `${name} ${what}`, { param: name })
