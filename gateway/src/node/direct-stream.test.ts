import { describe, expect, it } from 'vitest'
import type { Source } from '../stream.ts'
import { directStream } from './direct-stream.ts'

/** Gives these pieces, then its end or `error`; says how often it was read and what it was given up for. */
function sourceOf(pieces: readonly number[], error?: Error) {
  const seen = { reads: 0, cancelled: [] as unknown[] }
  const source: Source = {
    async read() {
      const piece = pieces[seen.reads++]
      if (piece !== undefined) return { done: false, value: Uint8Array.of(piece) }
      if (error) throw error
      return { done: true, value: undefined }
    },
    cancel: async (reason) => void seen.cancelled.push(reason),
  }
  return { source, seen }
}

const concatenated = async (stream: ReadableStream<Uint8Array>) => {
  const all: number[] = []
  for await (const piece of stream) all.push(...piece)
  return all
}

describe('directStream', () => {
  it('asks its source only when it is asked, and closes with it', async () => {
    const { source, seen } = sourceOf([1, 2])
    const reader = directStream(source).getReader()
    expect(seen.reads).toBe(0)
    expect(await reader.read()).toEqual({ done: false, value: Uint8Array.of(1) })
    expect(seen.reads).toBe(1)
    await reader.read()
    expect(await reader.read()).toEqual({ done: true, value: undefined })
    await reader.closed
    await reader.cancel('late')
    expect(seen.cancelled).toEqual([])
  })

  it('fails where its source does, and is over then', async () => {
    const { source, seen } = sourceOf([1], new Error('cut'))
    const reader = directStream(source).getReader()
    await reader.read()
    await expect(reader.read()).rejects.toThrow('cut')
    await reader.closed
    await reader.cancel()
    expect(seen.cancelled).toEqual([])
  })

  it('gives its source up once', async () => {
    const { source, seen } = sourceOf([1, 2])
    const reader = directStream(source).getReader()
    await reader.read()
    await reader.cancel('gone')
    await reader.cancel('again')
    await reader.closed
    expect(seen).toEqual({ reads: 1, cancelled: ['gone'] })
  })

  it('is a stream like any other to who takes it in another way', async () => {
    const [one, two] = directStream(sourceOf([1, 2, 3]).source).tee()
    expect(await concatenated(one)).toEqual([1, 2, 3])
    expect(await concatenated(two)).toEqual([1, 2, 3])
    const written: Uint8Array[] = []
    const into = new WritableStream<Uint8Array>({ write: (piece) => void written.push(piece) })
    await directStream(sourceOf([4]).source).pipeTo(into)
    expect(written).toEqual([Uint8Array.of(4)])
    expect(await new Response(directStream(sourceOf([65]).source)).text()).toBe('A')
  })
})
