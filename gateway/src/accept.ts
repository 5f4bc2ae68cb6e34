// What a caller wants to read, by its Accept header, as far as two choices need.

/** True when one of these media types is asked for by name. */
export const accepts = (header: string | undefined, ...types: string[]): boolean =>
  (header ?? '')
    .split(',')
    .some((range) => types.includes(range.split(';')[0]!.trim().toLowerCase()))
