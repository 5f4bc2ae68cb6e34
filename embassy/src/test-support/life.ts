// The life of a process whose every effect is counted: once they are used up it is as after SIGKILL. What it had asked for
// may still happen; nothing answers it any more, and nothing that it asks for later is done.

export class Life {
  /** Effects that are left. */
  left: number
  readonly #over = Promise.withResolvers<'over'>()

  constructor(effects = Number.POSITIVE_INFINITY) {
    this.left = effects
  }

  get over(): Promise<'over'> {
    return this.#over.promise
  }

  get isOver(): boolean {
    return this.left < 0
  }

  /** Resolves where this effect may still be had; else never. */
  async effect(): Promise<void> {
    if (this.left-- > 0) return
    this.#over.resolve('over')
    await new Promise(() => {})
  }
}

/** `of` as a process of this life has it: every call of its methods, and of those of its `nested` members, is an effect. */
export const mortal = <T extends object>(of: T, life: Life, ...nested: (keyof T)[]): T =>
  new Proxy(of, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (nested.includes(name as keyof T)) return mortal(value as object, life)
      if (typeof value !== 'function') return value
      return async (...args: unknown[]) => {
        await life.effect()
        return value.apply(target, args)
      }
    },
  })
