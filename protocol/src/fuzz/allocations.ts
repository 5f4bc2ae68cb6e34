// Counts the bytes that a piece of code allocates in typed arrays, by standing in for their constructors. Strings and
// objects are not counted: they grow with what was parsed, and what was parsed is bounded by its input.

/** Runs `body` with the constructors replaced; never two at a time. */
export async function countingAllocations<T>(
  body: (counted: { bytes: number }) => Promise<T>,
): Promise<T> {
  const counted = { bytes: 0 }
  const { ArrayBuffer: Buffer, Uint8Array: Array8 } = globalThis
  const { slice } = Array8.prototype
  const count = (size: unknown) => {
    if (typeof size === 'number') counted.bytes += size
    else if (
      typeof size === 'object' &&
      size !== null &&
      'length' in size &&
      !(size instanceof Buffer)
    )
      counted.bytes += Number(size.length)
  }
  const construct: ProxyHandler<typeof Array8 & typeof Buffer>['construct'] = (
    target,
    args,
    as,
  ) => {
    count(args[0])
    return Reflect.construct(target, args, as)
  }
  globalThis.Uint8Array = new Proxy(Array8, { construct } as ProxyHandler<typeof Array8>)
  globalThis.ArrayBuffer = new Proxy(Buffer, { construct } as ProxyHandler<typeof Buffer>)
  Array8.prototype.slice = function (from, to) {
    const out = slice.call(this, from, to)
    count(out.length)
    return out
  }
  try {
    return await body(counted)
  } finally {
    globalThis.Uint8Array = Array8
    globalThis.ArrayBuffer = Buffer
    Array8.prototype.slice = slice
  }
}
