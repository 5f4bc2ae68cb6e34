// Workload files for servers that providers run are such as the embassy takes, and ask for nothing that they need not.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseWorkload } from '@sealed/protocol'
import { expect, test } from 'vitest'

const FOLDER = join(import.meta.dirname, '..', 'workloads', 'adapters')
const adapters = readdirSync(FOLDER, { withFileTypes: true }).filter((one) => one.isDirectory())

test('there are three', () => {
  expect(adapters.map(({ name }) => name).sort()).toEqual(['llama.cpp', 'ollama', 'vllm'])
})

test.each(adapters.map(({ name }) => name))('%s', (name) => {
  const file = parseWorkload(readFileSync(join(FOLDER, name, 'workload.json')))
  expect(file).toMatchObject({ name, egress: [], port: 8000 })
  // Whoever forgets to write the digest in starts nothing.
  expect(file.image).toBe('00'.repeat(32))
  const listens = [...(file.command ?? []), ...file.env.map(({ value }) => value)].join(' ')
  expect(listens).toMatch(/0\.0\.0\.0(?::| --port )8000/)
})

test('vLLM’s flags are JSON, and what it writes is what is read', () => {
  const { activations, command, seal_policy } = parseWorkload(
    readFileSync(join(FOLDER, 'vllm', 'workload.json')),
  )
  const after = (flag: string) => JSON.parse(command![command!.indexOf(flag) + 1]!)
  expect(after('--speculative_config').method).toBe('extract_hidden_states')
  expect(after('--kv_transfer_config').kv_connector_extra_config).toEqual({
    shared_storage_path: '/activations',
  })
  expect([activations, seal_policy]).toEqual(['safetensors', 'epoch'])
})

test('llama.cpp has the tap in it, and one sequence at a time', () => {
  const { activations, command, env, prefix_cache, seal_policy } = parseWorkload(
    readFileSync(join(FOLDER, 'llama.cpp', 'workload.json')),
  )
  expect(command!.join(' ')).toContain('--parallel 1 --no-cache-prompt --cache-ram 0')
  expect(env).toContainEqual({ name: 'LD_PRELOAD', value: '/tap.so' })
  expect([activations, prefix_cache, seal_policy]).toEqual(['safetensors', 'off', 'request'])
})
