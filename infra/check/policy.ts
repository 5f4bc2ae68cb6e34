// What must hold of the modules whatever a deployment sets: confidential computing and Shielded VM on, one port in, out only
// what is named, nobody who logs in, no role but one. Read from the files, so that a change that opens something turns a
// test red before anybody applies it.
import { join } from 'node:path'
import { blocksOf, type Module, nestedOf, readModule } from './module.ts'
import { machines } from './policy-machines.ts'
import { network } from './policy-network.ts'
import { local, type Must, only, same, strings, text } from './policy-text.ts'

const ROLES = ['google_artifact_registry_repository_iam_member roles/artifactregistry.reader']

/** Secure Boot's variables, and the lists of nix/keys that are all of them. */
const LISTS = { pk: 'PK', keks: 'KEK', dbs: 'db', dbxs: 'dbx' }

/** Ways in or out that go past what is checked here. */
const FORBIDDEN = [
  /^google_compute_instance(_from_template|_template|_from_machine_image)?$/,
  /^google_compute_firewall/,
  /^google_compute_(project_metadata|instance_iam|region_instance_template_iam)/,
  /^google_compute_(network_peering|vpn|interconnect|packet_mirroring|snapshot)/,
  /^google_(os_login|service_account_key|storage_bucket_acl|storage_default)/,
  /_iam_(policy|binding)$/,
]

const LOGS = [
  'cloudaudit.googleapis.com/activity',
  'cloudaudit.googleapis.com/system_event',
  'cloudaudit.googleapis.com/policy',
  'compute.googleapis.com/firewall',
  'compute.googleapis.com/healthchecks',
  'compute.googleapis.com/shielded_vm_integrity',
]

/** What is wrong in the folder that holds modules/; nothing found is an empty list. */
export async function policyProblems(root: string): Promise<string[]> {
  const read = (name: string) => readModule(join(root, 'modules', name))
  const [image, fleet, edge] = await Promise.all([read('image'), read('fleet'), read('edge')])
  const problems: string[] = []
  const must = (holds: boolean, message: string) => {
    if (!holds) problems.push(message)
  }
  for (const module of [image, fleet, edge])
    for (const { labels } of blocksOf(module, 'resource'))
      must(!FORBIDDEN.some((form) => form.test(labels[0]!)), `${labels[0]} is not for here`)
  await machines(fleet, must)
  await network(fleet, must)
  await identity(fleet, must)
  await logs(fleet, must)
  await disk(image, must)
  for (const { body } of only(edge, 'cloudflare_dns_record'))
    if (text(body, 'type') === '"A"')
      must(text(body, 'proxied') === 'false', 'the origin is proxied')
  return problems
}

async function identity(fleet: Module, must: Must): Promise<void> {
  const grants = blocksOf(fleet, 'resource').filter(({ labels }) => labels[0]!.includes('_iam_'))
  const given = grants.map(({ body, labels }) => {
    must(text(body, 'member') === 'google_service_account.sealed.member', `${labels[1]}: for whom?`)
    return `${labels[0]} ${(text(body, 'role') ?? '').replaceAll('"', '')}`
  })
  must(same(given, ROLES), `roles are ${given}`)
}

async function logs(fleet: Module, must: Must): Promise<void> {
  const kept = (await strings(local(fleet, 'kept_logs'))) ?? ['?']
  must(
    kept.every((log) => LOGS.includes(log)),
    `logs with contents may be kept: ${kept}`,
  )
  for (const { body } of only(fleet, 'google_logging_project_sink')) {
    const filter = text(body, 'filter')
    must(
      filter?.includes('for log in local.kept_logs') ?? false,
      'the sink keeps more than its list',
    )
    const left = text(body, 'exclusions.filter') ?? ''
    must(
      left.includes('textPayload') && left.includes('httpRequest'),
      'the sink leaves contents in',
    )
  }
}

async function disk(image: Module, must: Must): Promise<void> {
  for (const { body } of only(image, 'google_compute_image')) {
    const features = nestedOf(body, 'guest_os_features').map((one) => text(one.body, 'type') ?? '')
    const expected = ['"UEFI_COMPATIBLE"', '"GVNIC"', '"SEV_SNP_CAPABLE"', '"TDX_CAPABLE"']
    must(same(features, expected), `image: features are ${features}`)
    const [state] = nestedOf(body, 'shielded_instance_initial_state')
    const given = state?.body.blocks.map(({ type, labels }) => labels[0] ?? type)
    must(same(given, Object.keys(LISTS)), `image: Secure Boot has ${given}`)
    for (const [variable, file] of Object.entries(LISTS)) {
      const path = `shielded_instance_initial_state.${variable}`
      must(
        text(body, `${path}.content`) === `filebase64("\${var.keys}/${file}.esl")` &&
          text(body, `${path}.file_type`) === '"BIN"',
        `image: ${variable} is not our own and only list`,
      )
    }
    const identity = local(image, 'identity')
    for (const file of Object.values(LISTS))
      must(identity.includes(`/${file}.esl"`), `image: its name does not change with ${file}.esl`)
  }
  for (const { body } of only(image, 'google_storage_bucket')) {
    must(text(body, 'public_access_prevention') === '"enforced"', 'the bucket may become public')
    must(text(body, 'uniform_bucket_level_access') === 'true', 'objects have lists of their own')
  }
}
