// The metadata server, and who passes for it. Mutants tried: no check of the answer's header; no bound on its size; a
// refusal that is tried again; no deadline; the request without its header.
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  answering,
  instanceOf,
  type MetadataServer,
  startMetadataServer,
} from '../test-support/metadata-server.ts'
import { type MetadataOptions, openMetadata } from './metadata.ts'

const ATTRIBUTES = { 'sealed-image': 'x', 'enable-oslogin': 'TRUE' }
const invalid = (message: RegExp) =>
  expect.objectContaining({ code: 'config.invalid', message: expect.stringMatching(message) })

let server: MetadataServer
let lines: string[]
beforeEach(async () => {
  lines = []
  server = await startMetadataServer(instanceOf(ATTRIBUTES, 'ya29.secret'))
})
afterEach(() => server.stop().catch(() => {}))

const open = (options: Partial<MetadataOptions> = {}) =>
  openMetadata({
    url: server.url,
    log: (message, fields) => void lines.push(JSON.stringify({ message, ...fields })),
    pauseMs: 0,
    ...options,
  })

it('gives the attributes as they came, asked for as GCE wants it', async () => {
  expect(JSON.parse(await open().attributes())).toEqual(ATTRIBUTES)
  const path = '/computeMetadata/v1/instance/attributes/?recursive=true&alt=json'
  expect(server.asked).toEqual([{ path, flavor: 'Google' }])
})

it('gives the service account’s token, and logs nothing of it', async () => {
  expect(await open().token()).toBe('ya29.secret')
  expect(lines.join('')).not.toContain('ya29')
})

it.each([
  ['without the header', answering(200, '{}', {})],
  ['with another flavour', answering(200, '{}', { 'metadata-flavor': 'google' })],
  ['by a portal that redirects', answering(302, '', { location: 'http://192.0.2.1/' })],
  ['with a page that is not there, by somebody else', answering(404, '', {})],
])('refuses an answer %s, at once', async (_, answer) => {
  server.answer = answer
  await expect(open().attributes()).rejects.toThrow(invalid(/something else than GCE/))
  expect(server.asked.length).toBe(1)
})

it('does not follow a redirect, whoever sends it', async () => {
  const headers = { 'metadata-flavor': 'Google', location: `${server.url}/elsewhere` }
  server.answer = answering(301, '', headers)
  await expect(open().attributes()).rejects.toThrow(invalid(/answered with 301/))
  expect(server.asked.length).toBe(1)
})

it('refuses an answer that is too long, and reads no more of it', async () => {
  let sent = 0
  server.answer = (_, response) => {
    response.writeHead(200, { 'metadata-flavor': 'Google' })
    const more = () => {
      while (sent < 64 * 1024 * 1024 && response.write('x'.repeat(65_536))) sent += 65_536
    }
    response.on('drain', more)
    more()
  }
  await expect(open().attributes()).rejects.toThrow(invalid(/longer than 1048576 bytes/))
  expect(sent).toBeLessThan(64 * 1024 * 1024)
})

it('refuses bytes that are no text', async () => {
  server.answer = (_, response) =>
    void response.writeHead(200, { 'metadata-flavor': 'Google' }).end(Buffer.of(0xff, 0xfe))
  await expect(open().attributes()).rejects.toThrow(
    expect.objectContaining({ code: 'encoding.invalid' }),
  )
})

it('says what is missing where the instance has no service account', async () => {
  server.answer = instanceOf(ATTRIBUTES)
  await expect(open().token()).rejects.toThrow(invalid(/service account, that are missing/))
  expect(server.asked.length).toBe(1)
})

it.each([
  ['no token', '{"token_type":"Bearer"}'],
  ['an empty one', '{"access_token":"","token_type":"Bearer"}'],
  ['one of another kind', '{"access_token":"a","token_type":"MAC"}'],
])('refuses %s', async (_, body) => {
  server.answer = answering(200, body)
  await expect(open().token()).rejects.toThrow(invalid(/service account token/))
})

it('asks again while the server is not ready', async () => {
  const ready = server.answer
  const states = [503, 500, 429]
  server.answer = (request, response) => {
    const status = states.shift()
    if (status === undefined) ready(request, response)
    else answering(status, '', {})(request, response)
  }
  expect(JSON.parse(await open().attributes())).toEqual(ATTRIBUTES)
  expect(server.asked.length).toBe(4)
  expect(lines.filter((line) => line.includes('does not answer yet')).length).toBe(3)
})

it('asks again where a connection is cut', async () => {
  const ready = server.answer
  let cut = false
  server.answer = (request, response) => {
    if (cut) ready(request, response)
    else request.socket.destroy()
    cut = true
  }
  expect(JSON.parse(await open().attributes())).toEqual(ATTRIBUTES)
})

it('asks again where an answer does not come, and takes the next', async () => {
  const ready = server.answer
  let first = true
  server.answer = (request, response) => {
    if (!first) ready(request, response)
    first = false
  }
  expect(JSON.parse(await open({ attemptMs: 50 }).attributes())).toEqual(ATTRIBUTES)
})

const unavailable = expect.objectContaining({
  code: 'launch.unavailable',
  message: expect.stringMatching(/no metadata server answers at .*is this a GCE instance/),
})

it('gives up where nobody ever answers', async () => {
  server.answer = () => {}
  await expect(open({ deadlineMs: 100, attemptMs: 40 }).attributes()).rejects.toThrow(unavailable)
})

it('gives up on an answer that never ends', async () => {
  server.answer = (_, response) =>
    void response.writeHead(200, { 'metadata-flavor': 'Google' }).write('{')
  await expect(open({ deadlineMs: 100 }).attributes()).rejects.toThrow(unavailable)
})

it('gives up where nobody listens', async () => {
  const { url } = server
  await server.stop()
  await expect(open({ url, deadlineMs: 100, pauseMs: 10 }).attributes()).rejects.toThrow(
    unavailable,
  )
  server = await startMetadataServer(instanceOf({}))
})

it('tells the operator how it went, where he can read it', async () => {
  server.answer = answering(200, '')
  await open().report('config.invalid: no such attribute')
  const path = '/computeMetadata/v1/instance/guest-attributes/sealed/launch'
  expect(server.asked).toEqual([{ path, flavor: 'Google' }])
  expect(lines).toEqual([])
})

it('goes on where nobody takes the outcome', async () => {
  server.answer = answering(403, '')
  await open().report('launched')
  expect(lines.join('')).toContain('status 403')
  await server.stop()
  await open().report('launched')
  expect(lines).toHaveLength(2)
})
