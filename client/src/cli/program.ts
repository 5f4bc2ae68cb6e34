// The commands and their options. Parsing only: what a command does is in its own file.
import { Command, InvalidArgumentError, Option } from 'commander'
import { attestationCommand } from './commands/attestation.ts'
import { backupCommand, exportCommand } from './commands/backup.ts'
import { imageVerifyCommand } from './commands/image.ts'
import {
  authorityNewCommand,
  keyCreateCommand,
  keyListCommand,
  keyRevokeCommand,
} from './commands/keys.ts'
import { auditCommand, checkpointCommand, proofCommand } from './commands/log.ts'
import { policyCheckCommand, policyInitCommand } from './commands/policy.ts'
import { proxyCommand } from './commands/proxy.ts'
import { readCommand } from './commands/read.ts'
import { replayCommand } from './commands/replay.ts'
import { restoreCommand } from './commands/restore.ts'
import { askCommand, updateCommand, writeCommand } from './commands/session.ts'
import { usageCommand } from './commands/usage.ts'
import { verifyCommand } from './commands/verify.ts'
import { weightsPackCommand, weightsVerifyCommand } from './commands/weights.ts'
import { FORMATS } from './format.ts'
import type { Io } from './io.ts'
import { DEFAULT_URL } from './settings.ts'
import type { Exit } from './usage.ts'

const DEFAULT_PROXY_PORT = 8081

const EXITS = `
Exit codes: 0 verified, 1 failed, 2 wrong use, 3 incomplete (a required check could not be made).
Environment: SEALED_URL, SEALED_API_KEY, NO_COLOR.`

/** Builds the program; `done` gets the exit code of the command that ran. */
export function buildProgram(io: Io, json: boolean, done: (exit: Exit) => void): Command {
  const program = new Command('sealed')
    .description('Asks AI workloads under seal, and checks the receipts that prove it.')
    .addHelpText('after', EXITS)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void (json || io.stderr.write(text)),
    })
  const run =
    <A extends unknown[]>(command: (io: Io, ...args: A) => Promise<Exit>) =>
    async (...args: A) =>
      done(await command(io, ...args))

  session(program.command('ask [prompt]'))
    .description('ask a workload; the prompt is read from standard input for -')
    .action(run(askCommand))
  session(program.command('write <capability> [prompt]'))
    .description('define a capability by what the model does with the prompt')
    .addOption(authorityFile())
    .option('--negative', 'the prompt shows what the capability is not')
    .action(run(writeCommand))
  session(program.command('update [prompt]'))
    .description('ask a workload and say that the meters are to move, as they do for ask')
    .action(run(updateCommand))
  door(program.command('read'))
    .description('read an authority’s meters and their coverage')
    .addOption(authorityFile())
    .option(
      '--openings <file>',
      'write all readings with the openings of every change, for log replay',
    )
    .action(run(readCommand))
  gateway(program.command('proxy'))
    .description('a local OpenAI endpoint for any language: attests, encrypts, verifies')
    .option('--port <number>', 'on 127.0.0.1, and nowhere else', port, DEFAULT_PROXY_PORT)
    .option('--strict', 'hold streamed text back until it is verified')
    .option('--workload <name>', 'ask this one, whatever model a request names')
    .action(run(proxyCommand))
  withJson(program.command('verify [receipt]'))
    .description(
      'verify a receipt offline: a file (the receipt, or the answer that holds it), a folder made by --save, the text, its id, or - for standard input',
    )
    .addOption(new Option('--format <format>', 'text (default), json, or ear').choices(FORMATS))
    .option('--document <file>', 'attestation document')
    .option(
      '--url <url>',
      'gateway to fetch the document from, by its digest, or the receipt by its id',
    )
    .option('--request <file>', 'envelope (or, on the plain door, body) exactly as sent')
    .option('--response <file>', 'the answer’s body exactly as received; needs --salt')
    .option('--salt <base64url>', 'the session’s salt (header sealed-salt of a plain answer)')
    .option('--nonce <nonce>', 'nonce sent on the plain door')
    .option('--proof <file>', 'C2SP tlog-proof of the receipt’s leaf, with witnesses’ signatures')
    .option('--sent <time>', 'when you yourself sent the nonce, as in 2026-10-01T12:00:00Z')
    .addOption(policy())
    .action(run(verifyCommand))
  gateway(program.command('attestation'))
    .description('fetch and judge a fresh attestation document')
    .option('--out <file>', 'keep the document')
    .action(run(attestationCommand))
  const policies = program.command('policy').description('policies: what a verifier insists on')
  withJson(policies.command('init'))
    .description(
      'write the values that a running gateway states, for you to review; verifies nothing',
    )
    .option('--url <url>', `gateway (else SEALED_URL, else ${DEFAULT_URL})`)
    .option('--name <name>', 'name of the policy (the gateway’s host without it)')
    .option('--image <file>', 'reference-values.json: name this image, not what the machine states')
    .option('--out <file>', 'a new file; standard output without it')
    .action(run(policyInitCommand))
  withJson(policies.command('check <file>'))
    .description('say in words what a policy asks for and leaves open; fails when it is none')
    .action(run(policyCheckCommand))

  const images = program.command('image').description('disk images: what a machine measures of one')
  withJson(images.command('verify <disk>'))
    .description('recompute a disk image’s reference values, and hold them against its publisher’s')
    .option('--reference <file>', 'reference-values.json of the image it should be')
    .action(run(imageVerifyCommand))
  const weights = program
    .command('weights')
    .description('weights volumes: the files of a model under one root hash')
  withJson(weights.command('pack <directory>'))
    .description('pack the files below a directory into a volume, to be attached as a disk')
    .requiredOption('--out <file>', 'a new file, readable by its owner alone')
    .action(run(weightsPackCommand))
  withJson(weights.command('verify <volume>'))
    .description('hash a volume anew, down to its last byte, and hold it against a root hash')
    .option('--root-hash <hash>', 'what workload.json names')
    .action(run(weightsVerifyCommand))
  const log = program.command('log').description('the transparency log of a gateway')
  gateway(log.command('checkpoint'))
    .description('fetch the newest checkpoint of an attested machine’s log, to keep it')
    .option('--out <file>', 'keep the checkpoint')
    .action(run(checkpointCommand))
  gateway(log.command('audit'))
    .description('prove that the log of today is what a kept checkpoint has grown into')
    .requiredOption('--checkpoint <file>', 'the checkpoint that was kept')
    .option('--out <file>', 'keep the newest one, once it is proven to follow')
    .action(run(auditCommand))
  withJson(log.command('proof <id>'))
    .description('fetch the tlog-proof of a receipt, for verify --proof')
    .option('--url <url>', `gateway (else SEALED_URL, else ${DEFAULT_URL})`)
    .option('--out <file>', 'keep the proof')
    .action(run(proofCommand))
  admin(log.command('export'))
    .description('write the leaves that a machine keeps, one JSON object a line, for log replay')
    .action(run(exportCommand))
  withJson(log.command('replay'))
    .description('sum an authority’s meters up again from the log’s leaves and its own openings')
    .requiredOption('--entries <file>', 'the leaves, as `log export` writes them')
    .requiredOption('--readings <file>', 'what `read --openings` has written')
    .option('--checkpoint <file...>', 'checkpoints that the leaves must hash to')
    .action(run(replayCommand))
  admin(program.command('backup'))
    .description('write a copy of a running embassy’s database: meters, log, receipts; no key')
    .action(run(backupCommand))
  withJson(program.command('restore <backup>'))
    .description('put a backup in place of a stopped embassy’s database, which is moved aside')
    .requiredOption('--state <directory>', 'state_dir of sealed.json')
    .action(run(restoreCommand))
  withJson(program.command('authority').description('authority keys').command('new <name>'))
    .description('make an authority key and print its entry for sealed.json')
    .requiredOption('--out <file>', 'where the private key goes (made with mode 0600)')
    .action(run(authorityNewCommand))
  const key = program.command('key').description('API keys: who may call a gateway')
  deployment(key.command('create <name>'))
    .description('make an API key, show it once, and keep its digest in the deployment’s keys')
    .option('--requests-per-minute <number>', 'instead of the deployment’s limit', positive)
    .option('--concurrent-requests <number>', 'fewer than the deployment’s limit', positive)
    .action(run(keyCreateCommand))
  deployment(key.command('list'))
    .description('names, creation dates and limits of the keys there are and were')
    .action(run(keyListCommand))
  deployment(key.command('revoke <name>'))
    .description('refuse a key from now on; a running gateway notices by itself')
    .action(run(keyRevokeCommand))
  withJson(program.command('usage'))
    .description('what each API key has used, by UTC day; for root on the embassy’s machine')
    .option('--csv', 'for a spreadsheet or an invoice')
    .option('--since <day>', 'from this day on, as in 2026-11-27')
    .option('--until <day>', 'up to this day')
    .addOption(socket())
    .action(run(usageCommand))
  return program
}

const withJson = (command: Command) =>
  command.option('--json', 'one JSON object on standard output, nothing else')

/** Commands of whoever writes a deployment's files. */
const deployment = (command: Command) =>
  withJson(command).option(
    '--config <file>',
    'sealed.json (else SEALED_CONFIG, else /etc/sealed/sealed.json)',
  )

const policy = () =>
  new Option(
    '--policy <policy>',
    'strict, dev (.sealed/default/policy.json here or above), or a file',
  ).default('strict')

const authorityFile = () =>
  new Option('--authority <file>', 'the authority’s key file').makeOptionMandatory()

const gateway = (command: Command) =>
  withJson(command)
    .option('--url <url>', `gateway (else SEALED_URL, else ${DEFAULT_URL})`)
    .addOption(policy())
    .option('--verbose', 'every check, not only a summary')

/** Commands for root on the embassy's own machine. */
const admin = (command: Command) =>
  withJson(command)
    .requiredOption('--out <file>', 'a new file, readable by its owner alone')
    .addOption(socket())

const socket = () =>
  new Option('--socket <path>', 'admin.sock of the embassy (else that of the only one here)')

const door = (command: Command) =>
  gateway(command)
    .option('--workload <name>', 'needed when the machine runs several')
    .option(
      '--api-key <key>',
      'prefer SEALED_API_KEY: other users of this machine can list arguments',
    )
    .option('--save <folder>', 'keep request, response, receipt, document and salt')

const session = (command: Command) =>
  door(command)
    .option('--model <name>', 'the workload’s own default without it')
    .option('--max-tokens <number>', 'longest completion', positive)

function positive(text: string): number {
  const value = Number(text)
  if (/^[1-9]\d{0,8}$/.test(text)) return value
  throw new InvalidArgumentError('It must be a whole number above 0.')
}

function port(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new InvalidArgumentError('It must be a port, from 0 (any that is free) to 65535.')
}
