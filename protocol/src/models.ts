// Which of a machine's workloads a request is for: the same at both doors, by the `model` that an SDK names.
import { SealedError } from './errors.ts'

/**
 * The first that serves the model, else the one of that name, else the only one if it does not say its models. Throws
 * `workload.unknown` where there is none: another's answer would pass for that of the model that was asked for.
 */
export function workloadFor<W extends { name: string; models?: readonly string[] }>(
  workloads: readonly W[],
  model: string,
): W {
  const found =
    workloads.find(({ models }) => models?.includes(model)) ??
    workloads.find(({ name }) => name === model) ??
    workloads.find(({ models }) => models === undefined && workloads.length === 1)
  if (found) return found
  throw new SealedError(
    'workload.unknown',
    `no workload here serves the model ${JSON.stringify(model.slice(0, 128))}; GET /v1/models lists what there is`,
    { param: 'model' },
  )
}
