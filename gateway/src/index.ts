export * from './app.ts'
export * from './deps.ts'
export { statusOfCode } from './errors.ts'
