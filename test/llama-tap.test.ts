// The tap in a real llama-server: what it hands over is what the model's layers show, of every token and of this request
// alone, and where it cannot be there is no file. Sealed and metered: llama-server.test.ts.
// Mutants of tap.c: another layer; rows of one layer behind each other, or all the first; an earlier place in the file;
// positions not counted; failed writes, or a spoilt file, let be; a layer that is left out not noticed; the earlier
// request's state believed gone only where it is; each refusal to start left out.
import { describe, expect, onTestFinished, test } from 'vitest'
import type { HiddenStates } from '../embassy/src/activations/safetensors.ts'
import { answerTo, continueText, type DemoAnswer, LAYERS, WIDTH } from './support/demo-answer.ts'
import { type LlamaOptions, type LlamaProcess, startLlama } from './support/llama-process.ts'

const CHAT = '/v1/chat/completions'
const QUESTIONS = ['What is a horse?', 'What is a dog?', 'What is a kluge?', 'What is a river?']
/** Numbers in half precision here, in single there: states of the same tokens differ by less. */
const ALIKE = 0.9999

let llama: LlamaProcess
/** Starts one, with nothing of its warming up left. */
const start = async (options?: LlamaOptions) => {
  llama = await startLlama(options)
  onTestFinished(() => llama.stop())
  llama.clear()
}

const chat = (content: string, more: object = {}) =>
  llama.post(CHAT, {
    messages: [{ role: 'user', content }],
    temperature: 0,
    max_tokens: 64,
    ...more,
  })

/** The least cosine between rows handed over and those of the engine in TypeScript, for its layers in that order. */
function likeness(
  states: HiddenStates,
  { sequence }: DemoAnswer,
  layers: readonly number[],
): number {
  let least = 1
  for (let token = 0; token < states.tokens; token++)
    for (const [i, layer] of layers.entries()) {
      const ours = sequence.states[token]!.subarray(layer * WIDTH, (layer + 1) * WIDTH)
      const theirs = states.row(i, token)
      const product = (a: Float32Array, b: Float32Array) =>
        a.reduce((sum, value, at) => sum + value * b[at]!, 0)
      const cosine =
        product(ours, theirs) / Math.sqrt(product(ours, ours) * product(theirs, theirs))
      least = Math.min(least, cosine)
    }
  return least
}

test('answers as the demo does, and hands the middle layer of all its tokens over', async () => {
  await start()
  for (const question of QUESTIONS) {
    const { status, json } = await chat(question)
    const expected = await answerTo(question)
    expect([status, json.choices![0]!.message!.content]).toEqual([200, expected.text])
    const states = llama.handedOver()
    const { completion_tokens, prompt_tokens } = json.usage!
    // The last token ends the answer: nothing is computed of it.
    expect(states.tokens).toBe(prompt_tokens + completion_tokens - 1)
    expect([states.layers, states.hidden]).toEqual([1, WIDTH])
    expect(likeness(states, expected, [LAYERS / 2])).toBeGreaterThan(ALIKE)
  }
})

test('several layers, and a prompt that is computed in parts', async () => {
  await start({
    args: ['--batch-size', '16', '--ubatch-size', '6'],
    env: { ACTIVATIONS_LAYERS: '0,2' },
  })
  const prompt =
    'A large animal with four legs that is kept by man for its milk and its meat. '.repeat(2)
  const { json } = await llama.post('/v1/completions', { prompt, temperature: 0, max_tokens: 3 })
  const expected = await continueText(prompt, 3)
  expect(json.usage!.prompt_tokens).toBe(expected.promptTokens)
  expect(expected.promptTokens).toBeGreaterThan(2 * 16)
  const states = llama.handedOver()
  expect([states.tokens, states.layers]).toEqual([expected.promptTokens + 2, 2])
  expect(likeness(states, expected, [0, 2])).toBeGreaterThan(ALIKE)
})

describe('a request', () => {
  test('that asks for an earlier one’s state gets none, and hands all of its own over', async () => {
    await start()
    const again = async (prompt: string) => {
      const body = { prompt, temperature: 0, max_tokens: 4, cache_prompt: true }
      const { json } = await llama.post('/v1/completions', body)
      const { prompt_tokens, completion_tokens, prompt_tokens_details } = json.usage!
      expect(prompt_tokens_details.cached_tokens).toBe(0)
      expect(llama.handedOver().tokens).toBe(prompt_tokens + completion_tokens - 1)
      return json.choices![0]!.text!
    }
    const first = await again('What is a horse')
    expect(await again('What is a horse')).toBe(first)
    // As long as the earlier one, and then longer than all that it left.
    await again('What is a house')
    await again(`What is a house${await again('What is a house')} and what is a horse?`)
  })

  test('that gets it nonetheless hands nothing over', async () => {
    // As if all of it were there, whatever the tap says.
    const before = 'int llama_memory_seq_pos_min(void *m, int s) { (void)m; (void)s; return 0; }'
    await start({ before })
    await chat('What is a horse?')
    expect(llama.handedOver().tokens).toBeGreaterThan(8)
    const { json } = await chat('What is a horse?', { cache_prompt: true })
    expect(json.usage!.prompt_tokens_details.cached_tokens).toBeGreaterThan(0)
    expect(llama.names()).toEqual([])
    await chat('What is a dog?', { cache_prompt: false })
    expect(llama.handedOver().tokens).toBeGreaterThan(8)
  })

  test('that is refused hands nothing over', async () => {
    await start()
    expect((await llama.post(CHAT, { messages: 'none' })).status).toBe(400)
    expect(llama.names()).toEqual([])
    const long = 'horse '.repeat(200)
    expect((await llama.post('/v1/completions', { prompt: long })).status).toBe(400)
    expect(llama.names()).toEqual([])
  })

  test('of which the engine leaves a layer out hands nothing over', async () => {
    const behind = `
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <string.h>
      #include <llama.h>
      static ggml_backend_sched_eval_callback shown;
      static int seen;
      static bool show(struct ggml_tensor *t, bool ask, void *data) {
        return !ask && strcmp(t->name, "l_out-0") == 0 && ++seen == 5 ? true : shown(t, ask, data);
      }
      struct llama_context *llama_init_from_model(struct llama_model *m, struct llama_context_params p) {
        shown = p.cb_eval;
        p.cb_eval = show;
        return ((__typeof__(&llama_init_from_model))dlsym(RTLD_NEXT, "llama_init_from_model"))(m, p);
      }`
    await start({ behind, env: { ACTIVATIONS_LAYERS: '0,2' } })
    expect((await chat('What is a horse?')).status).toBe(200)
    expect(llama.names()).toEqual([])
    await chat('What is a horse?', { cache_prompt: false })
    expect(llama.handedOver().tokens).toBeGreaterThan(8)
  })

  test('whose states cannot all be written hands none over, and the next one does again', async () => {
    await start({ bytes: 8192 })
    expect((await chat('What is a dog?')).status).toBe(200)
    expect(llama.names()).toEqual([])
    await chat('What is a dog?', { max_tokens: 2 })
    expect(llama.handedOver().tokens).toBe(9)
  })
})

describe('the server does not start', () => {
  test.each<[string, LlamaOptions, string]>([
    ['with two slots', { args: ['--parallel', '2'] }, '--parallel 1'],
    ['with slots as many as it likes', { args: ['--parallel', '-1'] }, '--parallel 1'],
    ['with the last layer', { env: { ACTIVATIONS_LAYERS: '1,3' } }, 'ACTIVATIONS_LAYERS'],
    ['with layers in no order', { env: { ACTIVATIONS_LAYERS: '2,1' } }, 'ACTIVATIONS_LAYERS'],
    ['with layers that are none', { env: { ACTIVATIONS_LAYERS: '1;2' } }, 'ACTIVATIONS_LAYERS'],
    ['without a directory', { env: { ACTIVATIONS_DIR: '/nowhere' } }, 'activations directory'],
    [
      'where the callback is another’s',
      {
        before: `
          #define _GNU_SOURCE
          #include <dlfcn.h>
          #include <llama.h>
          static bool none(struct ggml_tensor *t, bool ask, void *d) { return !t || !d || !ask; }
          struct llama_context *llama_init_from_model(struct llama_model *m, struct llama_context_params p) {
            p.cb_eval = none;
            return ((__typeof__(&llama_init_from_model))dlsym(RTLD_NEXT, "llama_init_from_model"))(m, p);
          }`,
      },
      'is taken',
    ],
    [
      'with a draft model',
      { args: ['--model-draft', '/model.gguf', '--spec-type', 'draft-simple'] },
      'draft model',
    ],
  ])('%s', async (_, options, said) => {
    const outcome = startLlama(options).then(
      (started) => started.stop(),
      (error: Error) => error.message,
    )
    expect(await outcome).toMatch(new RegExp(`tap: .*${said}`))
  })
})
