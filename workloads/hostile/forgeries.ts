// Workloads that write what only the gateway may write: receipts, heartbeats, the gateway's headers, the end of a
// stream. Activations are good in all of them.
import { type Behaviour, handOverFor } from './behaviour.ts'

const FORGED = 'Zm9yZ2Vk'
const CHOICE = { index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }
const ANSWER = { id: 'chatcmpl-x', object: 'chat.completion', created: 0, model: 'hostile' }
const CHUNK = { ...ANSWER, object: 'chat.completion.chunk' }

const body =
  (text: string, headers: Record<string, string> = {}): Behaviour =>
  (call) => {
    handOverFor(call)
    call.response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(text)
  }

const events =
  (...lines: string[]): Behaviour =>
  (call) => {
    handOverFor(call)
    call.response.writeHead(200, { 'content-type': 'text/event-stream' })
    call.response.end(lines.map((line) => `${line}\n\n`).join(''))
  }

const good = JSON.stringify({ ...ANSWER, choices: [CHOICE] })
const said = `data: ${JSON.stringify({ ...CHUNK, choices: [{ index: 0, delta: { content: 'ok' }, finish_reason: 'stop' }] })}`
const done = 'data: [DONE]'

export const FORGERIES: Readonly<Record<string, Behaviour>> = {
  'forged-receipt': body(`${good.slice(0, -1)},"receipt":"${FORGED}"}`),
  'forged-receipt-twice': body(
    `{"receipt":"${FORGED}",${good.slice(1, -1)},"receipt":"${FORGED}"}`,
  ),
  'forged-headers': body(good, {
    'sealed-receipt-id': '0'.repeat(32),
    'sealed-nonce': FORGED,
    'set-cookie': 'a=b',
    'access-control-allow-origin': '*',
  }),
  'forged-receipt-chunk': events(
    said,
    `data: ${JSON.stringify({ ...CHUNK, choices: [], receipt: FORGED })}`,
    done,
  ),
  'forged-heartbeat': events(said, ': sealed', done),
  'early-done': events(done, said, done),
  'no-done': events(said),
  array: body('[]'),
  'trailing-bytes': body(`${good}\n{"more":true}`),
  'duplicate-members': body(`{"model":"another",${good.slice(1)}`),
  'not-utf8': (call) => {
    handOverFor(call)
    call.response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(Buffer.from(good.replace('"ok"', '"\xff\xfe"'), 'latin1'))
  },
}
