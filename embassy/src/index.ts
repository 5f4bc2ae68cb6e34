// What tests and benchmarks use of the embassy; nothing else imports it.
export { createContainers } from './containers/index.ts'
export { createSeal } from './seal/index.ts'
export { openTpm } from './tpm/index.ts'
