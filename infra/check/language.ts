// What the Terraform language itself knows: its own blocks, what every resource takes, and its functions. Short on purpose:
// what the modules do not use is not here, and has to be added when they do.
import type { BlockSchema } from './schema.ts'

const condition = {
  required: false,
  many: true,
  arguments: { condition: 'boolean!', error_message: 'string!' },
  blocks: {},
}

const lifecycle = {
  required: false,
  many: false,
  arguments: {
    create_before_destroy: 'boolean',
    prevent_destroy: 'boolean',
    ignore_changes: 'names',
    replace_triggered_by: 'any',
  },
  blocks: { precondition: condition, postcondition: condition },
}

/** What a resource takes beside what its provider names. */
export const EVERY_RESOURCE: BlockSchema = {
  arguments: { count: 'number', for_each: 'any', depends_on: 'any' },
  blocks: { lifecycle },
}

/** What a call of a module takes beside the module's variables. */
export const EVERY_CALL: BlockSchema = {
  arguments: { source: 'string!', count: 'number', for_each: 'any', depends_on: 'any' },
  blocks: {},
}

export const VARIABLE: BlockSchema = {
  arguments: {
    type: 'type!',
    description: 'string!',
    default: 'any',
    sensitive: 'boolean',
    nullable: 'boolean',
  },
  blocks: { validation: condition },
}

export const OUTPUT: BlockSchema = {
  arguments: {
    value: 'any!',
    description: 'string!',
    sensitive: 'boolean',
    depends_on: 'any',
  },
  blocks: { precondition: condition },
}

export const FUNCTIONS = new Set([
  ...['abs', 'ceil', 'floor', 'max', 'min', 'parseint', 'tonumber', 'tostring', 'tobool'],
  ...['concat', 'contains', 'distinct', 'element', 'flatten', 'index', 'length', 'one', 'range'],
  ...['coalesce', 'compact', 'keys', 'lookup', 'merge', 'sort', 'toset', 'tolist', 'tomap'],
  ...['values', 'zipmap', 'can', 'try', 'endswith', 'startswith', 'strcontains', 'format'],
  ...['join', 'lower', 'regex', 'regexall', 'replace', 'split', 'substr', 'trimspace', 'upper'],
  ...['file', 'fileexists', 'filebase64', 'filesha256', 'sha256', 'base64encode'],
  ...['jsondecode', 'jsonencode', 'cidrhost', 'cidrsubnet'],
])
