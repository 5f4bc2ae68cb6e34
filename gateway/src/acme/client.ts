// One order, from the account to the certificate, through the ACME library. The only challenge it takes is tls-alpn-01,
// for names that the deployment lists; it makes no key but asks for a certificate of the one it is given.
import type { KeyObject } from 'node:crypto'
import type { AcmeSettings } from '@sealed/protocol'
import { type Authorization, Client, crypto, type Order } from 'acme-client'
import type { Challenges } from './alpn.ts'
import { acceptCertificate, type Certificate } from './certificate.ts'
import { proofOf } from './challenge.ts'
import { AcmeFailure, quoted } from './failure.ts'

export interface OrderDeps {
  settings: Pick<AcmeSettings, 'contact' | 'directory' | 'names'>
  /** PEM. */
  accountKey: string
  external?: { kid: string; hmacKey: string }
  /** The attested key. */
  key: KeyObject
  challenges: Challenges
  clock: () => number
  /** Throws once the attempt is over. */
  pause: (ms: number) => Promise<void>
}

/** Pauses between looks at an order, and how many there are: about four minutes. */
const FIRST_PAUSE_MS = 250
const LAST_PAUSE_MS = 5_000
const LOOKS = 50

/** Throws an `AcmeFailure`, or the reason of the signal that ended the HTTP below. */
export async function obtainCertificate(deps: OrderDeps): Promise<Certificate> {
  const { settings, key, clock } = deps
  const client = new Client({
    directoryUrl: settings.directory,
    accountKey: deps.accountKey,
    ...(deps.external && { externalAccountBinding: deps.external }),
  })
  const contact = settings.contact.length > 0 ? { contact: [...settings.contact] } : {}
  const chain = await fromLibrary(async () => {
    await client.createAccount({ termsOfServiceAgreed: true, ...contact })
    const identifiers = settings.names.map((value) => ({ type: 'dns', value }))
    const order = await client.createOrder({ identifiers })
    if (order.authorizations.length > identifiers.length)
      throw new AcmeFailure('refused', 'the ACME server wants more proved than was asked for')
    const proven = await prove(client, order, deps)
    const [, csr] = await crypto.createCsr(
      { altNames: [...settings.names] },
      key.export({ type: 'pkcs8', format: 'pem' }) as string,
    )
    const finalized = await client.finalizeOrder(proven, csr)
    const valid = await settled(client, finalized, ['valid'], deps)
    return client.getCertificate(valid)
  })
  return acceptCertificate(chain, key, settings.names, clock())
}

/** Shows that the names are ours; resolves with the order once it may be finalized. */
async function prove(client: Client, order: Order, deps: OrderDeps): Promise<Order> {
  const close: (() => void)[] = []
  try {
    const waiting = (await client.getAuthorizations(order)).filter(
      ({ status }) => status !== 'valid',
    )
    const challenges = waiting.map((authorization) => challengeOf(authorization, deps))
    for (const { name, authorization, challenge } of challenges) {
      const keyAuthorization = await client.getChallengeKeyAuthorization(challenge)
      close.push(deps.challenges.open(name, await proofOf(authorization, keyAuthorization)))
    }
    for (const { challenge } of challenges) await client.completeChallenge(challenge)
    return await settled(client, order, ['ready', 'valid'], deps)
  } finally {
    for (const one of close) one()
  }
}

function challengeOf(authorization: Authorization, deps: OrderDeps) {
  const { identifier, challenges, status } = authorization
  const name = identifier.value
  if (identifier.type !== 'dns' || !deps.settings.names.includes(name))
    throw new AcmeFailure(
      'refused',
      `the ACME server wants ${quoted(name)} proved, which was not asked for`,
    )
  const challenge = challenges.find(({ type }) => (type as string) === 'tls-alpn-01')
  if (status !== 'pending' || !challenge)
    throw new AcmeFailure('refused', `${name} cannot be proved by tls-alpn-01: ${quoted(status)}`)
  return { name, authorization, challenge }
}

/** Looks at an order until it has one of these states. */
async function settled(
  client: Client,
  first: Order,
  states: readonly string[],
  deps: OrderDeps,
): Promise<Order> {
  let order = first
  for (let look = 0; look < LOOKS; look += 1) {
    if (states.includes(order.status)) return order
    if (order.status === 'invalid')
      throw new AcmeFailure(
        'order_invalid',
        `the ACME server refused the order: ${await why(client, order)}`,
      )
    await deps.pause(Math.min(FIRST_PAUSE_MS * 2 ** look, LAST_PAUSE_MS))
    order = await client.getOrder(order)
  }
  throw new AcmeFailure(
    'order_invalid',
    `the order is still ${quoted(order.status)} at the ACME server`,
  )
}

/** What the server says of the names that did not pass. */
async function why(client: Client, order: Order): Promise<string> {
  const authorizations = await client.getAuthorizations(order)
  const errors = authorizations.flatMap(({ identifier, challenges }) =>
    challenges.flatMap(({ error }) =>
      error ? [`${identifier.value}: ${quoted((error as { detail?: string }).detail ?? '')}`] : [],
    ),
  )
  return errors.join('; ') || 'no reason given'
}

/** The library's own errors are about answers that it could not work with. */
async function fromLibrary<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof AcmeFailure || (cause as Error).name === 'AbortError') throw cause
    throw new AcmeFailure(
      'refused',
      `an answer of the ACME server was not understood: ${quoted((cause as Error).message)}`,
      { cause },
    )
  }
}
