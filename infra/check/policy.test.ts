// What the modules must keep whatever a deployment sets, beside machines and network: who they are, what is recorded of them,
// which programs firmware loads. Each row opens something on a copy. Mutants of the policy that were tried, each turns a row
// red: lists compared as subsets, the list of logs not compared, a list's file type not read, dynamic blocks of Secure Boot
// not seen, keys left out of the image's name.
import { describe, expect, test } from 'vitest'
import { withChange } from './copies.ts'
import { INFRA } from './module.ts'
import { policyProblems } from './policy.ts'

const IMAGE = 'modules/image/main.tf'
const IDENTITY = 'modules/fleet/identity.tf'
const LOGS = 'modules/fleet/logs.tf'
const EDGE = 'modules/edge/main.tf'

test('the modules keep what must be kept', async () => {
  expect(await policyProblems(INFRA)).toEqual([])
})

describe('a change is refused that', () => {
  test.each([
    [
      'gives another role',
      IDENTITY,
      '"roles/artifactregistry.reader"',
      '"roles/editor"',
      /roles are .*roles\/editor/,
    ],
    [
      'gives a role to everybody',
      IDENTITY,
      'role       = "roles/artifactregistry.reader"\n  member     = google_service_account.sealed.member',
      'role       = "roles/artifactregistry.reader"\n  member     = "allUsers"',
      /pull: for whom/,
    ],
    [
      'reads every repository',
      IDENTITY,
      '"google_artifact_registry_repository_iam_member"',
      '"google_project_iam_member"',
      /roles are/,
    ],
    [
      'lets machines write logs',
      IDENTITY,
      'resource "google_artifact',
      'resource "google_project_iam_member" "logs" {\n  project = var.project\n  role    = "roles/logging.logWriter"\n  member  = google_service_account.sealed.member\n}\n\nresource "google_artifact',
      /roles are .*logWriter/,
    ],
    [
      'makes a key of the account',
      IDENTITY,
      'resource "google_service_account" "sealed"',
      'resource "google_service_account_key" "sealed"',
      /google_service_account_key is not for here/,
    ],
    [
      'keeps the serial console',
      LOGS,
      '    "compute.googleapis.com/firewall",',
      '    "serialconsole.googleapis.com/serial_port_1_output",',
      /logs with contents/,
    ],
    [
      'keeps every log',
      LOGS,
      `join(" OR ", [for log in local.kept_logs : "log_id(\\"\${log}\\")"])`,
      '"resource.type:*"',
      /keeps more than its list/,
    ],
    ['keeps what machines print', LOGS, ' OR textPayload:*', '', /leaves contents in/],
    [
      'boots what others signed',
      IMAGE,
      `filebase64("\${var.keys}/db.esl")`,
      'filebase64("microsoft.esl")',
      /dbs is not our own/,
    ],
    [
      'boots what others signed, too',
      IMAGE,
      '    dbs {',
      '    dbs {\n      content   = filebase64("microsoft.esl")\n      file_type = "BIN"\n    }\n\n    dbs {',
      /dbs is not our own/,
    ],
    [
      'boots what others signed, where somebody asks for it',
      IMAGE,
      '    dbs {',
      '    dynamic "dbs" {\n      for_each = var.release == "" ? [1] : []\n\n      content {\n        content   = filebase64("microsoft.esl")\n        file_type = "BIN"\n      }\n    }\n\n    dbs {',
      /Secure Boot has .*dbs,dbs/,
    ],
    [
      'has the cloud put a list around the certificate',
      IMAGE,
      `content   = filebase64("\${var.keys}/KEK.esl")\n      file_type = "BIN"`,
      `content   = filebase64("\${var.keys}/KEK.esl")\n      file_type = "X509"`,
      /keks is not our own/,
    ],
    [
      'has the cloud fill dbx',
      IMAGE,
      `\n    dbxs {\n      content   = filebase64("\${var.keys}/dbx.esl")\n      file_type = "BIN"\n    }\n`,
      '',
      /dbxs is not our own/,
    ],
    [
      'keeps an image whose keys are others now',
      IMAGE,
      `"\${var.keys}/db.esl", "\${var.keys}/dbx.esl"]`,
      `"\${var.keys}/dbx.esl"]`,
      /does not change with db.esl/,
    ],
    [
      'makes an image that cannot be attested',
      IMAGE,
      '  guest_os_features {\n    type = "TDX_CAPABLE"\n  }\n\n',
      '',
      /features are/,
    ],
    ['lets the bucket become public', IMAGE, '"enforced"', '"inherited"', /may become public/],
    ['has TLS end at the edge', EDGE, 'proxied = false', 'proxied = true', /origin is proxied/],
  ])('%s', async (_, file, from, to, expected) => {
    const found = await withChange(file, from, to, policyProblems)
    expect(found.filter((problem) => expected.test(problem))).not.toEqual([])
  })
})
