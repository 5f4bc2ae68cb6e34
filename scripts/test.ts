// `npm test`: everything that decides whether this may ship, in order of cost. Prints each stage as it goes and ends
// with the one line that counts.
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from './instance/paths.ts'

interface Report {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numFailedTestSuites: number
  testResults: { name: string; assertionResults: { status: string; fullName: string }[] }[]
}

const allowed = JSON.parse(
  readFileSync(join(REPOSITORY, 'test', 'allowed-skips.json'), 'utf8'),
) as { name: string; reason: string }[]
let passed = 0
let failed = 0
let skipped = 0

function stage(name: string, command: string, args: string[]): void {
  process.stdout.write(`\n== ${name}\n`)
  const { status } = spawnSync(join(REPOSITORY, 'node_modules', '.bin', command), args, {
    cwd: REPOSITORY,
    stdio: 'inherit',
  })
  if (status === 0) passed += 1
  else failed += 1
}

function tests(name: string, projects: string[]): void {
  const output = join(REPOSITORY, '.sealed', `report-${name}.json`)
  rmSync(output, { force: true })
  process.stdout.write(`\n== ${name} tests\n`)
  const args = [
    'run',
    ...projects.flatMap((project) => ['--project', project]),
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${output}`,
  ]
  const { status } = spawnSync(join(REPOSITORY, 'node_modules', '.bin', 'vitest'), args, {
    cwd: REPOSITORY,
    stdio: 'inherit',
  })
  let report: Report
  try {
    report = JSON.parse(readFileSync(output, 'utf8')) as Report
  } catch {
    process.stdout.write('the test runner left no report\n')
    failed += 1
    return
  }
  passed += report.numPassedTests
  failed += report.numFailedTests
  if (status !== 0 && report.numFailedTests === 0) failed += 1
  for (const { assertionResults } of report.testResults)
    for (const { status, fullName } of assertionResults) judgeSkip(status, fullName)
}

/** A skipped test fails the run unless its name and reason are written down. */
function judgeSkip(status: string, fullName: string): void {
  if (status === 'passed' || status === 'failed') return
  const known = allowed.find(({ name }) => name === fullName)
  process.stdout.write(
    `skipped: ${fullName}: ${known?.reason ?? 'not in test/allowed-skips.json, so it fails'}\n`,
  )
  if (known) skipped += 1
  else failed += 1
}

stage('lint', 'biome', ['check', '--error-on-warnings', '.'])
for (const project of ['.', 'protocol', 'gateway', 'client'])
  stage(`types of ${project}`, 'tsc', ['-p', project])
tests('unit', ['node', 'workerd'])
tests('browser', ['chromium'])
tests('end-to-end', ['e2e'])
process.stdout.write(
  `\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`,
)
process.exitCode = failed === 0 ? 0 : 1
