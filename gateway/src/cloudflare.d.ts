// The part of Workers' own module that the Worker uses (compatibility date 2025-08-08 or later).
declare module 'cloudflare:workers' {
  /** Keeps the runtime from ending `work` with the request that began it, for 30 seconds at the most. */
  export function waitUntil(work: Promise<unknown>): void
}
